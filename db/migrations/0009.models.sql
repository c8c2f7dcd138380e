-- Models that are built beside the active one: how each is reached, and which pages it covers.
-- depends: 0008.queue

-- A NULL base_url is the provider's own, or what the environment says; api_key_env is the name of the variable with the
-- key. `asks_dimensions`: the provider is asked for vectors of this length, instead of those that it makes by itself.
ALTER TABLE embedding_models
    ADD COLUMN base_url text CHECK (base_url !~ '//[^/]*@'),
    ADD COLUMN api_key_env text,
    ADD COLUMN asks_dimensions boolean NOT NULL DEFAULT false;

-- A page under a model that is not the active one, whose manifest is in scraped_pages: its chunks in order, of the text
-- with this content_hash. The model covers the page while that is the page's text. With a refusal (the provider's
-- words) it does not: the text was tried in vain, and the chunks are still those of an earlier one, or none.
CREATE TABLE page_manifests (
    page_id      bigint NOT NULL REFERENCES scraped_pages ON DELETE CASCADE,
    model_id     integer NOT NULL REFERENCES embedding_models,
    content_hash bytea NOT NULL,
    chunk_hashes bytea[] NOT NULL,
    refusal      text,
    PRIMARY KEY (page_id, model_id)
);
