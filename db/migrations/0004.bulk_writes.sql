-- The two functions that write the index. Each takes typed arrays, touches each table once, and says what it did.
-- depends: 0002.pages 0003.jobs

-- The languages that chunks were ever indexed in: what a text query has to be stemmed for. A superset is harmless.
CREATE TABLE indexed_languages (
    language text PRIMARY KEY
);

-- One row for each page, keyed by URL. The flat arrays of outlinks and chunk hashes are cut by the counts beside them.
-- A page was seen now, unless it says when: one written again from what is stored was not.
CREATE FUNCTION bulk_upsert_scraped_pages(
    p_source_id      uuid,
    p_urls           text[],
    p_titles         text[],
    p_languages      text[],
    p_contents       text[],
    p_content_hashes bytea[],
    p_body_hashes    bytea[],
    p_etags          text[],
    p_last_modifieds text[],
    p_outlinks       text[],
    p_outlink_counts integer[],
    p_chunk_hashes   bytea[],
    p_chunk_counts   integer[],
    p_structured     jsonb[],
    p_seen_ats       timestamptz[]
)
RETURNS TABLE (page_id bigint, url text, inserted boolean)
LANGUAGE sql
AS $$
    INSERT INTO scraped_pages AS s (
        source_id, url, title, language, content, content_hash, body_hash, etag, last_modified,
        outlinks, chunk_hashes, structured, last_seen_at
    )
    SELECT
        p_source_id, p.url, p.title, p.language, p.content, p.content_hash, p.body_hash, p.etag, p.last_modified,
        p_outlinks[p.outlinks_end - p.outlink_count + 1 : p.outlinks_end],
        p_chunk_hashes[p.chunks_end - p.chunk_count + 1 : p.chunks_end],
        p.structured,
        coalesce(p.seen_at, now())
    FROM (
        SELECT
            u.*,
            sum(u.outlink_count) OVER (ORDER BY u.position)::integer AS outlinks_end,
            sum(u.chunk_count) OVER (ORDER BY u.position)::integer AS chunks_end
        FROM unnest(
            p_urls, p_titles, p_languages, p_contents, p_content_hashes, p_body_hashes, p_etags, p_last_modifieds,
            p_outlink_counts, p_chunk_counts, p_structured, p_seen_ats
        ) WITH ORDINALITY AS u (
            url, title, language, content, content_hash, body_hash, etag, last_modified,
            outlink_count, chunk_count, structured, seen_at, position
        )
    ) AS p
    ORDER BY p.url
    ON CONFLICT (source_id, url) DO UPDATE
    SET title = EXCLUDED.title,
        language = EXCLUDED.language,
        content = EXCLUDED.content,
        content_hash = EXCLUDED.content_hash,
        body_hash = EXCLUDED.body_hash,
        etag = EXCLUDED.etag,
        last_modified = EXCLUDED.last_modified,
        outlinks = EXCLUDED.outlinks,
        chunk_hashes = EXCLUDED.chunk_hashes,
        duplicate_of = NULL,
        structured = EXCLUDED.structured,
        last_seen_at = EXCLUDED.last_seen_at,
        last_changed_at = CASE
            WHEN s.content_hash = EXCLUDED.content_hash THEN s.last_changed_at
            ELSE now()
        END
    RETURNING s.id, s.url, s.xmax = 0;
$$;

-- Makes the embeddings of the given pages equal to the given chunks, which are distinct within a page and name their
-- page by its position in p_page_ids. A chunk without an embedding is one that the page is believed to have already.
-- The caller compares kept + added with the chunks it gave: a difference means that the belief was wrong.
CREATE FUNCTION bulk_insert_embeddings(
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
