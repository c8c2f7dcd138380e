-- What embedding costs: tokens by day and model, taken out of a limit before they are spent; and the pages and texts
-- that wait for a provider's batches.
-- depends: 0009.models

-- `reserved` are tokens of requests under way, by estimate; those of a process that died stay, because the provider may
-- have counted them, and are a burden to their own day only. `batched` are those of `tokens` that came by a batch.
CREATE TABLE embedding_usage (
    day      date NOT NULL,
    model_id integer NOT NULL REFERENCES embedding_models,
    requests bigint NOT NULL DEFAULT 0,
    texts    bigint NOT NULL DEFAULT 0,
    tokens   bigint NOT NULL DEFAULT 0,
    batched  bigint NOT NULL DEFAULT 0,
    reserved bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (day, model_id)
) WITH (fillfactor = 50);

-- Takes tokens out of the limit of the day, which is one over all models, or says how much of it is taken.
CREATE FUNCTION reserve_tokens(p_model_id integer, p_tokens bigint, p_limit bigint)
RETURNS TABLE (granted boolean, usage_day date, spent bigint, taken bigint)
LANGUAGE plpgsql
AS $$
BEGIN
    -- One at a time: two that look at the same moment would both find the last tokens free.
    PERFORM pg_advisory_xact_lock(hashtextextended('lcl-tokens', 0));
    usage_day := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    SELECT coalesce(sum(u.tokens), 0), coalesce(sum(u.reserved), 0)
    INTO spent, taken
    FROM embedding_usage AS u
    WHERE u.day = usage_day;
    granted := spent + taken + p_tokens <= p_limit;
    IF granted THEN
        INSERT INTO embedding_usage AS u (day, model_id, reserved)
        VALUES (usage_day, p_model_id, p_tokens)
        ON CONFLICT (day, model_id) DO UPDATE
        SET reserved = u.reserved + EXCLUDED.reserved;
    END IF;
    RETURN NEXT;
END;
$$;

-- As before, but a source whose run met a limit on tokens is due no sooner than the next day, which has its own.
CREATE OR REPLACE VIEW scraper_sources_due AS
SELECT s.*
FROM scraper_sources_available AS s
WHERE (s.last_success_at IS NULL OR s.last_success_at + s.refresh_interval * 0.9 <= now())
  AND NOT EXISTS (
      SELECT FROM scrape_jobs AS j
      WHERE j.source_id = s.id
        AND j.status IN ('queued', 'running')
  )
  AND NOT EXISTS (
      SELECT FROM procrastinate_jobs AS q
      WHERE q.queueing_lock = s.id::text
        AND q.status IN ('todo', 'doing')
  )
  AND NOT EXISTS (
      SELECT FROM scrape_jobs AS j
      WHERE j.source_id = s.id
        AND j.finish_reason = 'token_limit_reached'
        AND j.queued_at >= date_trunc('day', now(), 'UTC') - interval '7 days'
        AND j.completed_at >= date_trunc('day', now(), 'UTC')
  );

-- A batch of texts at the provider's. `key` is in the provider's metadata of it, so that one whose id was never learned
-- can be found again. `settled_at`: its results are taken, and texts without one wait for another batch. `day` is the
-- one whose tokens it takes, `reserved` how many are still set aside for it.
CREATE TABLE embedding_batches (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id       integer NOT NULL REFERENCES embedding_models,
    key            uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    remote_id      text UNIQUE,
    input_file_id  text,
    output_file_id text,
    error_file_id  text,
    state          text NOT NULL DEFAULT 'preparing' CHECK (
        state IN (
            'preparing', 'validating', 'in_progress', 'finalizing', 'completed', 'failed', 'expired', 'cancelling',
            'cancelled'
        )
    ),
    texts          integer NOT NULL,
    completed      integer NOT NULL DEFAULT 0,
    failed         integer NOT NULL DEFAULT 0,
    tokens         bigint NOT NULL DEFAULT 0,
    day            date NOT NULL,
    reserved       bigint NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT now(),
    submitted_at   timestamptz,
    completed_at   timestamptz,
    settled_at     timestamptz,
    error          text
);

-- A text that a batch is to embed, is embedding (`batch_id`), or has embedded; or cannot, for the reason in `refusal`.
-- `for_pages`: only parked pages want it, so that nobody does when they are gone.
CREATE TABLE pending_texts (
    model_id    integer NOT NULL REFERENCES embedding_models,
    chunk_hash  bytea NOT NULL,
    text        text NOT NULL,
    batch_id    bigint REFERENCES embedding_batches,
    attempts    integer NOT NULL DEFAULT 0,
    embedding   vector,
    token_count integer,
    kind        text,
    refusal     text,
    for_pages   boolean NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model_id, chunk_hash),
    CHECK ((kind IS NULL) = (refusal IS NULL))
);

CREATE INDEX pending_texts_free_idx ON pending_texts (model_id, created_at, chunk_hash)
WHERE batch_id IS NULL AND embedding IS NULL AND refusal IS NULL;

CREATE INDEX pending_texts_batch_idx ON pending_texts (batch_id) WHERE batch_id IS NOT NULL;

-- A page that was read and cut, and is no part of the index until each text in `awaits` has its vector. `known_hash` is
-- the content hash that the index had for it then, NULL for a page that was new: what it becomes only when that still
-- holds. `page` are its fields, chunks and next checks.
CREATE TABLE pending_pages (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id    uuid NOT NULL REFERENCES scraper_sources ON DELETE CASCADE,
    url          text NOT NULL,
    model_id     integer NOT NULL REFERENCES embedding_models,
    content_hash bytea NOT NULL,
    known_hash   bytea,
    awaits       bytea[] NOT NULL,
    page         jsonb NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (source_id, url)
);

-- Whether a page that is parked with these texts can be written, or failed: nothing more is to come of any of them.
CREATE FUNCTION awaits_no_text(p_model_id integer, p_awaits bytea[])
RETURNS boolean
LANGUAGE sql
STABLE
AS $$
    SELECT NOT EXISTS (
        SELECT FROM unnest(p_awaits) AS h
        JOIN pending_texts AS t ON t.chunk_hash = h
        WHERE t.model_id = p_model_id
          AND t.embedding IS NULL
          AND t.refusal IS NULL
    );
$$;
