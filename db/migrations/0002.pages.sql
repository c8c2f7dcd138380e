-- The index: pages, their chunks' embeddings, and what is known of pages that failed or went.
-- depends: 0001.sources

CREATE TABLE embedding_models (
    id              integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider        text NOT NULL,
    name            text NOT NULL,
    dimensions      integer NOT NULL CHECK (dimensions BETWEEN 1 AND 16000),
    chunker_version text NOT NULL,
    state           text NOT NULL CHECK (state IN ('building', 'active', 'retired')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, name, dimensions, chunker_version)
);

CREATE UNIQUE INDEX embedding_models_one_active_idx ON embedding_models (state) WHERE state = 'active';

-- No index on what changes when a page is seen again, so that this is a HOT update.
CREATE TABLE scraped_pages (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id       uuid NOT NULL REFERENCES scraper_sources ON DELETE CASCADE,
    url             text NOT NULL,
    title           text,
    language        text,
    content         text NOT NULL,
    content_hash    bytea NOT NULL,
    body_hash       bytea,
    etag            text,
    last_modified   text,
    outlinks        text[] NOT NULL DEFAULT '{}',
    chunk_hashes    bytea[] NOT NULL DEFAULT '{}',
    duplicate_of    bigint REFERENCES scraped_pages ON DELETE SET NULL,
    structured      jsonb,
    first_seen_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at    timestamptz NOT NULL DEFAULT now(),
    last_changed_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (source_id, url)
) WITH (fillfactor = 85);

-- Each DELETE of a page looks for its duplicates. Hardly any page has an entry here, so that it costs writers nothing.
CREATE INDEX scraped_pages_duplicate_idx ON scraped_pages (duplicate_of) WHERE duplicate_of IS NOT NULL;

CREATE TABLE page_checks (
    page_id            bigint PRIMARY KEY REFERENCES scraped_pages ON DELETE CASCADE,
    source_id          uuid NOT NULL REFERENCES scraper_sources ON DELETE CASCADE,
    next_check_at      timestamptz NOT NULL,
    check_interval     interval NOT NULL,
    checks_since_fetch integer NOT NULL DEFAULT 0,
    signal             text
);

CREATE INDEX page_checks_due_idx ON page_checks (source_id, next_check_at);

-- The text search configuration of a page's language: a CASE, so that it can be IMMUTABLE and serve a stored column.
CREATE FUNCTION lcl_text_config(language text)
RETURNS regconfig
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT CASE language
        WHEN 'da' THEN 'pg_catalog.danish'::regconfig
        WHEN 'de' THEN 'pg_catalog.german'::regconfig
        WHEN 'en' THEN 'pg_catalog.english'::regconfig
        WHEN 'es' THEN 'pg_catalog.spanish'::regconfig
        WHEN 'fi' THEN 'pg_catalog.finnish'::regconfig
        WHEN 'fr' THEN 'pg_catalog.french'::regconfig
        WHEN 'hu' THEN 'pg_catalog.hungarian'::regconfig
        WHEN 'it' THEN 'pg_catalog.italian'::regconfig
        WHEN 'nl' THEN 'pg_catalog.dutch'::regconfig
        WHEN 'no' THEN 'pg_catalog.norwegian'::regconfig
        WHEN 'pt' THEN 'pg_catalog.portuguese'::regconfig
        WHEN 'ro' THEN 'pg_catalog.romanian'::regconfig
        WHEN 'ru' THEN 'pg_catalog.russian'::regconfig
        WHEN 'sv' THEN 'pg_catalog.swedish'::regconfig
        WHEN 'tr' THEN 'pg_catalog.turkish'::regconfig
        ELSE 'pg_catalog.simple'::regconfig
    END;
$$;

CREATE TABLE page_embeddings (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    page_id     bigint NOT NULL REFERENCES scraped_pages ON DELETE CASCADE,
    source_id   uuid NOT NULL,
    model_id    integer NOT NULL REFERENCES embedding_models,
    language    text,
    chunk_hash  bytea NOT NULL,
    heading     text,
    content     text NOT NULL,
    token_count integer,
    embedding   vector NOT NULL,
    search      tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector(lcl_text_config(language), coalesce(heading, '')), 'A')
        || to_tsvector(lcl_text_config(language), content)
    ) STORED,
    UNIQUE (page_id, model_id, chunk_hash)
);

CREATE INDEX page_embeddings_chunk_idx ON page_embeddings (model_id, chunk_hash);

CREATE TABLE source_signals (
    source_id   uuid NOT NULL REFERENCES scraper_sources ON DELETE CASCADE,
    signal      text NOT NULL CHECK (signal IN ('etag', 'last_modified', 'sitemap_lastmod')),
    agreed_runs integer NOT NULL DEFAULT 0,
    revoked_at  timestamptz,
    PRIMARY KEY (source_id, signal)
);

CREATE TABLE failed_pages (
    source_id       uuid NOT NULL REFERENCES scraper_sources ON DELETE CASCADE,
    url             text NOT NULL,
    kind            text NOT NULL,
    http_status     integer,
    message         text,
    attempts        integer NOT NULL DEFAULT 1,
    first_failed_at timestamptz NOT NULL DEFAULT now(),
    last_failed_at  timestamptz NOT NULL DEFAULT now(),
    next_retry_at   timestamptz NOT NULL,
    PRIMARY KEY (source_id, url)
);

CREATE INDEX failed_pages_retry_idx ON failed_pages (source_id, next_retry_at);

CREATE TABLE page_tombstones (
    source_id    uuid NOT NULL REFERENCES scraper_sources ON DELETE CASCADE,
    url          text NOT NULL,
    reason       text NOT NULL,
    http_status  integer,
    content_hash bytea,
    job_id       uuid,
    deleted_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_id, url)
);
