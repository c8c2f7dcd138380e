-- Pages and texts that wait for a provider's batches.
-- park_page --
INSERT INTO pending_pages AS p (source_id, url, model_id, content_hash, known_hash, awaits, page)
VALUES (
    %(source_id)s, %(url)s, %(model_id)s, %(content_hash)s, %(known_hash)s, %(awaits)s, %(page)s
)
ON CONFLICT (source_id, url) DO UPDATE
SET model_id = EXCLUDED.model_id,
    content_hash = EXCLUDED.content_hash,
    known_hash = EXCLUDED.known_hash,
    awaits = EXCLUDED.awaits,
    page = EXCLUDED.page,
    created_at = now()

-- add_texts --
INSERT INTO pending_texts AS t (model_id, chunk_hash, text, for_pages)
SELECT %(model_id)s, u.chunk_hash, u.text, %(for_pages)s
FROM unnest(%(chunk_hashes)s::bytea[], %(texts)s::text[]) AS u (chunk_hash, text)
ORDER BY u.chunk_hash
ON CONFLICT (model_id, chunk_hash) DO UPDATE
SET for_pages = false
WHERE t.for_pages
  AND NOT EXCLUDED.for_pages

-- keep --
INSERT INTO pending_texts AS t (model_id, chunk_hash, text, for_pages, embedding, token_count)
SELECT %(model_id)s, u.chunk_hash, u.text, true, u.embedding, u.token_count
FROM unnest(%(chunk_hashes)s::bytea[], %(texts)s::text[], %(embeddings)s::vector[], %(token_counts)s::integer[])
    AS u (chunk_hash, text, embedding, token_count)
ORDER BY u.chunk_hash
ON CONFLICT DO NOTHING

-- await_texts --
UPDATE pending_pages
SET awaits = %(awaits)s
WHERE id = %(id)s

-- forget --
DELETE FROM pending_pages
WHERE source_id = %(source_id)s
  AND url = ANY(%(urls)s)

-- parked_urls --
SELECT url
FROM pending_pages
WHERE source_id = %(source_id)s
  AND url = ANY(%(urls)s)

-- ready_sources --
SELECT p.source_id
FROM pending_pages AS p
WHERE awaits_no_text(p.model_id, p.awaits)
GROUP BY p.source_id
ORDER BY min(p.id)

-- ready_pages --
SELECT
    p.id, p.url, p.model_id, p.content_hash, p.known_hash, k.content_hash AS current_hash, p.page, r.kind, r.refusal
FROM pending_pages AS p
LEFT JOIN scraped_pages AS k ON k.source_id = p.source_id AND k.url = p.url
LEFT JOIN LATERAL (
    SELECT t.kind, t.refusal
    FROM unnest(p.awaits) AS h
    JOIN pending_texts AS t ON t.model_id = p.model_id AND t.chunk_hash = h
    WHERE t.refusal IS NOT NULL
    LIMIT 1
) AS r ON true
WHERE p.source_id = %(source_id)s
  AND p.id > %(after)s
  AND awaits_no_text(p.model_id, p.awaits)
ORDER BY p.id
LIMIT %(limit)s

-- forget_retired --
DELETE FROM pending_pages AS p
USING embedding_models AS m
WHERE m.id = p.model_id
  AND m.state = 'retired'

-- drop_settled_texts --
WITH awaited AS MATERIALIZED (
    SELECT DISTINCT
        p.model_id,
        h AS chunk_hash
    FROM pending_pages AS p
    CROSS JOIN unnest(p.awaits) AS h
)
DELETE FROM pending_texts AS t
WHERE NOT EXISTS (SELECT FROM awaited AS a WHERE a.model_id = t.model_id AND a.chunk_hash = t.chunk_hash)
  AND CASE
      WHEN t.refusal IS NOT NULL THEN true
      WHEN t.embedding IS NULL THEN t.for_pages AND t.batch_id IS NULL
      ELSE t.created_at < now() - %(kept)s::interval
          OR EXISTS (SELECT FROM page_embeddings AS e WHERE e.model_id = t.model_id AND e.chunk_hash = t.chunk_hash)
  END

-- standing --
SELECT
    (SELECT count(*) FROM pending_pages) AS pages,
    (SELECT count(*) FROM pending_pages AS p WHERE awaits_no_text(p.model_id, p.awaits)) AS ready_pages,
    count(*) FILTER (WHERE embedding IS NULL AND refusal IS NULL AND batch_id IS NULL) AS free_texts,
    count(*) FILTER (WHERE embedding IS NULL AND refusal IS NULL AND batch_id IS NOT NULL) AS asked_texts,
    count(*) FILTER (WHERE embedding IS NOT NULL) AS embedded_texts,
    count(*) FILTER (WHERE refusal IS NOT NULL) AS refused_texts
FROM pending_texts
