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
AS $$
    WITH chunk AS MATERIALIZED (
        SELECT p_page_ids[c.position] AS page_id, p_languages[c.position] AS language, c.*
        FROM unnest(p_positions, p_chunk_hashes, p_headings, p_contents, p_token_counts, p_embeddings)
            AS c (position, chunk_hash, heading, content, token_count, embedding)
    ),
    present AS MATERIALIZED (
        SELECT e.id, e.page_id, e.chunk_hash
        FROM page_embeddings AS e
        WHERE e.page_id = ANY (p_page_ids)
          AND e.model_id = p_model_id
    ),
    -- FULL, so that no plan can be a nested loop: a plan cached for small arrays would compare every chunk with every
    -- other one.
    diff AS MATERIALIZED (
        SELECT
            p.id, page_id, c.heading, c.language,
            c.position IS NOT NULL AS wanted,
            c.embedding IS NULL AS believed
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
        WHERE e.id = k.id
          AND (e.heading, e.language) IS DISTINCT FROM (k.heading, k.language)
    ),
    removed AS (
        DELETE FROM page_embeddings AS e
        USING diff AS d
        WHERE e.id = d.id
          AND NOT d.wanted
        RETURNING e.page_id
    ),
    added AS (
        INSERT INTO page_embeddings AS e (
            page_id, source_id, model_id, language, chunk_hash, heading, content, token_count, embedding
        )
        SELECT
            c.page_id, p_source_id, p_model_id, c.language, c.chunk_hash, c.heading, c.content, c.token_count,
            c.embedding
        FROM chunk AS c
        WHERE c.embedding IS NOT NULL
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

DROP TRIGGER chunk_changed ON page_embeddings;

DROP TRIGGER chunk_added ON page_embeddings;

DROP FUNCTION lcl_set_chunk_words();

-- The index goes with the column; the next run that ends builds it again.
ALTER TABLE page_embeddings
    DROP COLUMN search,
    ADD COLUMN search tsvector GENERATED ALWAYS AS (
        setweight(to_tsvector(lcl_text_config(language), coalesce(heading, '')), 'A')
        || to_tsvector(lcl_text_config(language), content)
    ) STORED;

DROP FUNCTION lcl_chunk_words(text, text, text);

DROP TRIGGER model_deleted ON embedding_models;

DROP FUNCTION lcl_keep_used_model();

ALTER TABLE page_embeddings
    ADD CONSTRAINT page_embeddings_model_id_fkey FOREIGN KEY (model_id) REFERENCES embedding_models;

ALTER TABLE page_embeddings RESET (toast_tuple_target);
