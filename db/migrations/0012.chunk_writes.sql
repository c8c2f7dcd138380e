-- What writing a chunk costs, without what need not be done for each.
-- depends: 0009.models

-- A chunk with its words and 256 numbers has some 2.6 kB: it stays in one piece, unless it is larger than this.
ALTER TABLE page_embeddings SET (toast_tuple_target = 4096);

-- The key was looked up, and the one row of the model locked by everybody who writes, for each chunk anew. Models are
-- named by those who read their rows, and these are not deleted; who does so nevertheless is told.
ALTER TABLE page_embeddings DROP CONSTRAINT page_embeddings_model_id_fkey;

CREATE FUNCTION lcl_keep_used_model()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM page_embeddings AS e WHERE e.model_id = OLD.id) THEN
        RAISE foreign_key_violation
            USING MESSAGE = format('model %s still has embeddings', OLD.id), HINT = 'Free it with scrapy reembed --retire.';
    END IF;
    RETURN OLD;
END;
$$;

CREATE TRIGGER model_deleted
BEFORE DELETE ON embedding_models
FOR EACH ROW
EXECUTE FUNCTION lcl_keep_used_model();

-- The words of a chunk are worked out once: under another model that has the same chunk they are copied, for a fifth of
-- the time. So `search` is no longer a generated column, which nobody may write, but kept true by triggers.

CREATE FUNCTION lcl_chunk_words(language text, heading text, content text)
RETURNS tsvector
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
AS $$
    SELECT
        setweight(to_tsvector(lcl_text_config(language), coalesce(heading, '')), 'A')
        || to_tsvector(lcl_text_config(language), content);
$$;

ALTER TABLE page_embeddings ALTER COLUMN search DROP EXPRESSION;

CREATE FUNCTION lcl_set_chunk_words()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    NEW.search := lcl_chunk_words(NEW.language, NEW.heading, NEW.content);
    RETURN NEW;
END;
$$;

CREATE TRIGGER chunk_added
BEFORE INSERT ON page_embeddings
FOR EACH ROW
WHEN (NEW.search IS NULL)
EXECUTE FUNCTION lcl_set_chunk_words();

CREATE TRIGGER chunk_changed
BEFORE UPDATE OF language, heading, content, search ON page_embeddings
FOR EACH ROW
WHEN (
    NEW.search IS NULL
    OR (NEW.language, NEW.heading, NEW.content) IS DISTINCT FROM (OLD.language, OLD.heading, OLD.content)
)
EXECUTE FUNCTION lcl_set_chunk_words();

-- Makes the embeddings of the given pages equal to the given chunks, which are distinct within a page and name their
-- page by its position in p_page_ids. A chunk without an embedding is one that the page is believed to have already.
-- One without a text has, by its hash, that of the page's chunk under the active model, whose heading and language it
-- takes over, too. The caller compares kept + added with the chunks it gave: a difference means that one of the beliefs
-- was wrong.
CREATE OR REPLACE FUNCTION bulk_insert_embeddings(
    p_model_id     integer,
    p_source_id    uuid,
    p_page_ids     bigint[],
    p_languages    text[],
    p_positions    integer[],
    p_chunk_hashes bytea[],
    p_headings     text[],
    p_contents     text[],
    p_token_counts integer[],
    p_embeddings   vector[]
)
RETURNS TABLE (page_id bigint, kept integer, added integer, removed integer)
LANGUAGE sql
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $$
    WITH present AS MATERIALIZED (
        SELECT e.id, e.page_id, e.chunk_hash
        FROM page_embeddings AS e
        WHERE e.page_id = ANY (p_page_ids)
          AND e.model_id = p_model_id
    ),
    active AS MATERIALIZED (
        SELECT e.page_id, e.chunk_hash, e.language, e.heading, e.content, e.search
        FROM page_embeddings AS e
        WHERE (SELECT m.state <> 'active' FROM embedding_models AS m WHERE m.id = p_model_id)
          AND e.page_id = ANY (p_page_ids)
          AND e.model_id = (SELECT m.id FROM embedding_models AS m WHERE m.state = 'active')
    ),
    chunk AS MATERIALIZED (
        SELECT
            page_id, chunk_hash, c.position, c.token_count, c.embedding,
            CASE WHEN c.content IS NULL THEN a.language ELSE c.language END AS language,
            CASE WHEN c.content IS NULL THEN a.heading ELSE c.heading END AS heading,
            coalesce(c.content, a.content) AS content,
            CASE
                WHEN c.content IS NULL OR (a.language, a.heading) IS NOT DISTINCT FROM (c.language, c.heading)
                    THEN a.search
            END AS search
        FROM (
            SELECT p_page_ids[u.position] AS page_id, p_languages[u.position] AS language, u.*
            FROM unnest(p_positions, p_chunk_hashes, p_headings, p_contents, p_token_counts, p_embeddings)
                AS u (position, chunk_hash, heading, content, token_count, embedding)
        ) AS c
        FULL JOIN active AS a USING (page_id, chunk_hash)
    ),
    diff AS MATERIALIZED (
        SELECT
            p.id, page_id, c.heading, c.language,
            c.position IS NOT NULL AS wanted,
            c.embedding IS NULL AND c.content IS NOT NULL AS believed
        FROM present AS p
        FULL JOIN chunk AS c USING (page_id, chunk_hash)
    ),
    kept AS (
        SELECT d.id, d.page_id, d.heading, d.language
        FROM diff AS d
        WHERE d.id IS NOT NULL
          AND d.wanted
          AND d.believed
    ),
    relabelled AS (
        UPDATE page_embeddings AS e
        SET heading = k.heading,
            language = k.language
        FROM kept AS k
        WHERE e.id = ANY (ARRAY(SELECT i.id FROM kept AS i))
          AND e.id = k.id
          AND (e.heading, e.language) IS DISTINCT FROM (k.heading, k.language)
    ),
    removed AS (
        DELETE FROM page_embeddings AS e
        WHERE e.id = ANY (ARRAY(SELECT d.id FROM diff AS d WHERE NOT d.wanted))
        RETURNING e.page_id
    ),
    added AS (
        INSERT INTO page_embeddings AS e (
            page_id, source_id, model_id, language, chunk_hash, heading, content, token_count, embedding, search
        )
        SELECT
            c.page_id, p_source_id, p_model_id, c.language, c.chunk_hash, c.heading, c.content, c.token_count,
            c.embedding, c.search
        FROM chunk AS c
        WHERE c.embedding IS NOT NULL
          AND c.content IS NOT NULL
        ON CONFLICT ON CONSTRAINT page_embeddings_page_id_model_id_chunk_hash_key DO UPDATE
        SET embedding = EXCLUDED.embedding,
            heading = EXCLUDED.heading,
            language = EXCLUDED.language,
            token_count = EXCLUDED.token_count
        RETURNING e.page_id
    ),
    languages AS (
        INSERT INTO indexed_languages (language)
        SELECT DISTINCT l
        FROM unnest(p_languages) AS l
        WHERE l IS NOT NULL
        ON CONFLICT DO NOTHING
    ),
    tally AS (
        SELECT i AS page_id, 0 AS kept, 0 AS added, 0 AS removed FROM unnest(p_page_ids) AS i
        UNION ALL
        SELECT k.page_id, 1, 0, 0 FROM kept AS k
        UNION ALL
        SELECT a.page_id, 0, 1, 0 FROM added AS a
        UNION ALL
        SELECT r.page_id, 0, 0, 1 FROM removed AS r
    )
    SELECT t.page_id, sum(t.kept)::integer, sum(t.added)::integer, sum(t.removed)::integer
    FROM tally AS t
    GROUP BY t.page_id;
$$;
