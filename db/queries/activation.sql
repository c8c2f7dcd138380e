-- Changing the active model, and freeing a retired one.

-- set_limits --
SELECT
    set_config('lock_timeout', %(limit)s, true),
    set_config('statement_timeout', %(limit)s, true)

-- count_uncovered --
SELECT count(*)
FROM scraped_pages AS p
LEFT JOIN page_manifests AS m ON m.page_id = p.id AND m.model_id = %(new)s
WHERE p.duplicate_of IS NULL
  AND (m.content_hash IS DISTINCT FROM p.content_hash OR (m.refusal IS NOT NULL AND NOT %(leave_out)s))

-- leave_out --
-- Pages with a refused text go, with those that are indexed under their URL, and are failed ones from here on, as if
-- the model had met them in a crawl.
WITH refused AS (
    SELECT p.id, m.refusal
    FROM page_manifests AS m
    JOIN scraped_pages AS p ON p.id = m.page_id AND p.content_hash = m.content_hash
    WHERE m.model_id = %(new)s
      AND m.refusal IS NOT NULL
      AND p.duplicate_of IS NULL
),
leaving AS (
    SELECT r.id, r.refusal
    FROM refused AS r
    UNION ALL
    SELECT d.id, r.refusal
    FROM refused AS r
    JOIN scraped_pages AS d ON d.duplicate_of = r.id
),
left_out AS (
    DELETE FROM scraped_pages AS p
    USING leaving AS l
    WHERE p.id = l.id
    RETURNING p.source_id, p.url, l.refusal
)
INSERT INTO failed_pages AS f (source_id, url, kind, message, next_retry_at)
SELECT source_id, url, 'embedding_refused', refusal, now() + interval '15 minutes'
FROM left_out
ON CONFLICT (source_id, url) DO UPDATE
SET kind = EXCLUDED.kind,
    http_status = NULL,
    message = EXCLUDED.message,
    attempts = f.attempts + 1,
    last_failed_at = now(),
    next_retry_at = EXCLUDED.next_retry_at

-- prepare_manifests --
-- Of some pages, while crawls go on: what is just being deleted is left out, and what changes is seen to by the switch.
INSERT INTO page_manifests (page_id, model_id, content_hash, chunk_hashes)
SELECT p.id, %(old)s, p.content_hash, p.chunk_hashes
FROM scraped_pages AS p
LEFT JOIN page_manifests AS m
    ON m.page_id = p.id AND m.model_id = %(old)s AND m.page_id > %(after)s AND m.page_id <= %(upto)s
WHERE p.id > %(after)s
  AND p.id <= %(upto)s
  AND p.duplicate_of IS NULL
  AND (m.content_hash, m.chunk_hashes, m.refusal) IS DISTINCT FROM (p.content_hash, p.chunk_hashes, NULL)
  AND EXISTS (SELECT FROM embedding_models WHERE id = %(old)s AND state = 'active')
FOR KEY SHARE OF p SKIP LOCKED
ON CONFLICT (page_id, model_id) DO UPDATE
SET content_hash = EXCLUDED.content_hash,
    chunk_hashes = EXCLUDED.chunk_hashes,
    refusal = NULL

-- keep_manifests --
INSERT INTO page_manifests (page_id, model_id, content_hash, chunk_hashes)
SELECT p.id, %(old)s, p.content_hash, p.chunk_hashes
FROM scraped_pages AS p
LEFT JOIN page_manifests AS m ON m.page_id = p.id AND m.model_id = %(old)s
WHERE p.duplicate_of IS NULL
  AND (m.content_hash, m.chunk_hashes, m.refusal) IS DISTINCT FROM (p.content_hash, p.chunk_hashes, NULL)
ON CONFLICT (page_id, model_id) DO UPDATE
SET content_hash = EXCLUDED.content_hash,
    chunk_hashes = EXCLUDED.chunk_hashes,
    refusal = NULL

-- take_manifests --
UPDATE scraped_pages AS p
SET chunk_hashes = m.chunk_hashes
FROM page_manifests AS m
WHERE m.page_id = p.id
  AND m.model_id = %(new)s
  AND p.duplicate_of IS NULL
  AND p.chunk_hashes <> m.chunk_hashes

-- leave --
UPDATE embedding_models
SET state = 'retired'
WHERE id = %(old)s

-- enter --
UPDATE embedding_models
SET state = 'active'
WHERE id = %(new)s

-- drop_manifests --
-- Those of the active model are the pages' own chunk_hashes.
DELETE FROM page_manifests
WHERE page_id > %(after)s
  AND page_id <= %(upto)s
  AND model_id = %(model_id)s
  AND EXISTS (SELECT FROM embedding_models WHERE id = %(model_id)s AND state = 'active')

-- recount --
UPDATE page_checks AS c
SET chunks = e.chunks,
    tokens = e.tokens
FROM scraped_pages AS p
CROSS JOIN LATERAL (
    SELECT count(*)::integer AS chunks, coalesce(sum(token_count), 0)::integer AS tokens
    FROM page_embeddings
    WHERE page_id = p.id
      AND model_id = %(model_id)s
) AS e
WHERE p.id > %(after)s
  AND p.id <= %(upto)s
  AND c.page_id = p.id
  AND c.page_id > %(after)s
  AND c.page_id <= %(upto)s
  AND (c.chunks, c.tokens) IS DISTINCT FROM (e.chunks, e.tokens)
  AND EXISTS (SELECT FROM embedding_models WHERE id = %(model_id)s AND state = 'active')

-- count_pages --
SELECT count(*)
FROM scraped_pages

-- next_pages --
SELECT max(n.id), count(*)
FROM (
    SELECT id
    FROM scraped_pages
    WHERE id > %(after)s
    ORDER BY id
    LIMIT %(limit)s
) AS n

-- free_parked --
DELETE FROM pending_pages
WHERE id IN (
    SELECT id
    FROM pending_pages
    WHERE model_id = %(model_id)s
    LIMIT %(limit)s
)

-- free_texts --
-- Not those whose batch is at work: what it costs is counted with its results.
DELETE FROM pending_texts
WHERE model_id = %(model_id)s
  AND chunk_hash IN (
      SELECT chunk_hash
      FROM pending_texts
      WHERE model_id = %(model_id)s
        AND (batch_id IS NULL OR embedding IS NOT NULL OR refusal IS NOT NULL)
      LIMIT %(limit)s
  )

-- free --
WITH embedding AS (
    DELETE FROM page_embeddings
    WHERE page_id > %(after)s
      AND page_id <= %(upto)s
      AND model_id = %(model_id)s
    RETURNING id
),
manifest AS (
    DELETE FROM page_manifests
    WHERE page_id > %(after)s
      AND page_id <= %(upto)s
      AND model_id = %(model_id)s
    RETURNING page_id
)
SELECT
    (SELECT count(*) FROM embedding),
    (SELECT count(*) FROM manifest)
