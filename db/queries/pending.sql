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

-- record --
-- Not those of which the index has a vector: they are paid for.
INSERT INTO pending_texts AS t (model_id, chunk_hash, text, for_pages)
SELECT %(model_id)s, u.chunk_hash, u.text, false
FROM unnest(%(chunk_hashes)s::bytea[], %(texts)s::text[]) AS u (chunk_hash, text)
LEFT JOIN LATERAL (
    SELECT true AS is_paid
    FROM page_embeddings
    WHERE model_id = %(model_id)s
      AND chunk_hash = u.chunk_hash
    LIMIT 1
) AS e ON true
WHERE e.is_paid IS NULL
ORDER BY u.chunk_hash
ON CONFLICT (model_id, chunk_hash) DO UPDATE
SET for_pages = false
WHERE t.for_pages

-- asked --
SELECT t.chunk_hash
FROM pending_texts AS t
WHERE t.model_id = %(model_id)s
  AND t.chunk_hash = ANY(%(chunk_hashes)s)
  AND t.batch_id IS NOT NULL
  AND t.embedding IS NULL
  AND t.refusal IS NULL

-- withdraw --
DELETE FROM pending_texts
WHERE model_id = %(model_id)s
  AND batch_id IS NULL
  AND embedding IS NULL
  AND refusal IS NULL

-- count_texts --
SELECT
    count(*) FILTER (WHERE batch_id IS NULL) AS free,
    count(*) FILTER (WHERE batch_id IS NOT NULL) AS asked
FROM pending_texts
WHERE model_id = %(model_id)s
  AND embedding IS NULL
  AND refusal IS NULL

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

-- drop_embedded_texts --
-- Of which the index has got a vector in another way: embedding them would be paying twice.
DELETE FROM pending_texts AS t
USING (
    SELECT f.model_id, f.chunk_hash
    FROM pending_texts AS f
    CROSS JOIN LATERAL (
        SELECT
        FROM page_embeddings
        WHERE model_id = f.model_id
          AND chunk_hash = f.chunk_hash
        LIMIT 1
    ) AS e
    WHERE f.batch_id IS NULL
      AND f.embedding IS NULL
      AND f.refusal IS NULL
) AS s
WHERE t.model_id = s.model_id
  AND t.chunk_hash = s.chunk_hash
  AND t.batch_id IS NULL

-- drop_settled_texts --
WITH awaited AS MATERIALIZED (
    SELECT DISTINCT
        p.model_id,
        h AS chunk_hash
    FROM pending_pages AS p
    CROSS JOIN unnest(p.awaits) AS h
)
DELETE FROM pending_texts AS t
USING embedding_models AS m
WHERE m.id = t.model_id
  AND NOT EXISTS (SELECT FROM awaited AS a WHERE a.model_id = t.model_id AND a.chunk_hash = t.chunk_hash)
  AND CASE
      WHEN t.refusal IS NOT NULL THEN true
      WHEN t.embedding IS NULL THEN t.batch_id IS NULL AND (t.for_pages OR m.state = 'retired')
      ELSE (t.created_at < now() - %(kept)s::interval AND (t.for_pages OR m.state <> 'building'))
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
