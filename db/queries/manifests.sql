-- Embeddings of pages under one model, and which pages the models beside the active one cover.

-- record --
INSERT INTO page_manifests (page_id, model_id, content_hash, chunk_hashes)
SELECT
    c.page_id, %(model_id)b, c.content_hash,
    (%(chunk_hashes)b::bytea[])[c.chunks_end - c.chunk_count + 1:c.chunks_end]
FROM (
    SELECT u.*, sum(u.chunk_count) OVER (ORDER BY u.position)::integer AS chunks_end
    FROM unnest(%(page_ids)b::bigint[], %(content_hashes)b::bytea[], %(chunk_counts)b::integer[])
        WITH ORDINALITY AS u (page_id, content_hash, chunk_count, position)
) AS c
ON CONFLICT (page_id, model_id) DO UPDATE
SET content_hash = EXCLUDED.content_hash,
    chunk_hashes = EXCLUDED.chunk_hashes,
    refusal = NULL

-- refuse --
INSERT INTO page_manifests (page_id, model_id, content_hash, chunk_hashes, refusal)
SELECT u.page_id, %(model_id)s, u.content_hash, '{}', u.refusal
FROM unnest(%(page_ids)s::bigint[], %(content_hashes)s::bytea[], %(refusals)s::text[])
    AS u (page_id, content_hash, refusal)
ON CONFLICT (page_id, model_id) DO UPDATE
SET content_hash = EXCLUDED.content_hash,
    refusal = EXCLUDED.refusal

-- forget_refusals --
-- No text has this hash: the page is not covered, and tried again.
UPDATE page_manifests
SET content_hash = '\x00',
    refusal = NULL
WHERE model_id = %(model_id)s
  AND refusal IS NOT NULL

-- pending --
-- Sizes are known without reading the texts: no more of them are fetched than fit. Where the model cuts pages as the
-- active one does, the chunks that this one has are given instead of the page's text, if they are all there.
SELECT
    n.id, n.source_id, n.url, n.title, n.language,
    CASE WHEN c.is_whole THEN NULL ELSE n.content END,
    n.content_hash, n.was_tried,
    CASE WHEN c.is_whole THEN n.chunk_hashes END,
    CASE WHEN c.is_whole THEN c.hashes END,
    CASE WHEN c.is_whole THEN c.texts END
FROM (
    SELECT
        p.id, p.source_id, p.url, p.title, p.language, p.content, p.content_hash, p.chunk_hashes,
        m.page_id IS NOT NULL AS was_tried,
        sum(octet_length(p.content)) OVER (ORDER BY p.id) - octet_length(p.content) AS bytes_before
    FROM scraped_pages AS p
    LEFT JOIN page_manifests AS m ON m.page_id = p.id AND m.model_id = %(model_id)b
    WHERE p.id > %(after)b
      AND p.duplicate_of IS NULL
      AND m.content_hash IS DISTINCT FROM p.content_hash
    ORDER BY p.id
    LIMIT %(limit)b
) AS n
LEFT JOIN LATERAL (
    SELECT
        array_agg(e.chunk_hash) AS hashes,
        array_agg(e.content) AS texts,
        array_agg(e.chunk_hash) @> n.chunk_hashes AND array_agg(e.chunk_hash) <@ n.chunk_hashes AS is_whole
    FROM page_embeddings AS e
    WHERE e.page_id = n.id
      AND e.model_id = (
          SELECT a.id
          FROM embedding_models AS a
          WHERE a.state = 'active'
            AND a.chunker_version = (SELECT o.chunker_version FROM embedding_models AS o WHERE o.id = %(model_id)b)
      )
) AS c ON true
WHERE n.bytes_before < %(max_bytes)b
ORDER BY n.id

-- own_chunks --
SELECT page_id, chunk_hash
FROM page_embeddings
WHERE page_id = ANY (%(page_ids)b)
  AND model_id = %(model_id)b

-- count_pending --
SELECT count(*)
FROM scraped_pages AS p
LEFT JOIN page_manifests AS m ON m.page_id = p.id AND m.model_id = %(model_id)s
WHERE p.duplicate_of IS NULL
  AND m.content_hash IS DISTINCT FROM p.content_hash

-- refused --
SELECT p.url, m.refusal
FROM page_manifests AS m
JOIN scraped_pages AS p ON p.id = m.page_id
WHERE m.model_id = %(model_id)s
  AND m.refusal IS NOT NULL
  AND m.content_hash = p.content_hash
  AND p.duplicate_of IS NULL
ORDER BY p.url
LIMIT %(limit)s

-- hold_unchanged --
SELECT p.id
FROM unnest(%(page_ids)b::bigint[], %(content_hashes)b::bytea[]) AS u (page_id, content_hash)
JOIN scraped_pages AS p ON p.id = u.page_id AND p.content_hash = u.content_hash
WHERE p.duplicate_of IS NULL
ORDER BY p.id
FOR SHARE OF p SKIP LOCKED

-- insert_embeddings --
SELECT page_id, kept, added, removed
FROM bulk_insert_embeddings(
    %(model_id)b, %(source_id)b, %(page_ids)b, %(languages)b, %(positions)b, %(chunk_hashes)b, %(headings)b,
    %(contents)b, %(token_counts)b, %(embeddings)b
)
