-- Reading and writing the index. Placeholders with %b go over the wire in binary.

-- lock_fence --
SELECT fence
FROM domain_fences
WHERE domain = %(domain)s
  AND fence = %(fence)s
FOR NO KEY UPDATE

-- upsert_pages --
SELECT page_id, url, inserted
FROM bulk_upsert_scraped_pages(
    %(source_id)b, %(urls)b, %(titles)b, %(languages)b, %(contents)b, %(content_hashes)b, %(body_hashes)b,
    %(etags)b, %(last_modifieds)b, %(outlinks)b, %(outlink_counts)b, %(chunk_hashes)b, %(chunk_counts)b,
    %(structured)b::jsonb[]
)

-- insert_embeddings --
SELECT page_id, kept, added, removed
FROM bulk_insert_embeddings(
    %(model_id)b, %(source_id)b, %(page_ids)b, %(languages)b, %(positions)b, %(chunk_hashes)b, %(headings)b,
    %(contents)b, %(token_counts)b, %(embeddings)b
)

-- known_by_url --
SELECT id, url, content_hash, body_hash, etag, last_modified, outlinks, last_seen_at
FROM scraped_pages
WHERE source_id = %(source_id)b
  AND url = ANY (%(urls)b)

-- due --
SELECT id, url, content_hash, body_hash, etag, last_modified, outlinks, last_seen_at
FROM scraped_pages
WHERE source_id = %(source_id)s
  AND url > %(after)s
  AND last_seen_at <= %(seen_before)s
ORDER BY url
LIMIT %(limit)s

-- count_fresh --
SELECT count(*)
FROM scraped_pages
WHERE source_id = %(source_id)s
  AND last_seen_at > %(seen_before)s

-- count_known --
SELECT count(*)
FROM scraped_pages
WHERE source_id = %(source_id)s

-- unknown_outlinks_of_fresh --
SELECT DISTINCT link
FROM scraped_pages AS p
CROSS JOIN LATERAL unnest(p.outlinks) AS link
WHERE p.source_id = %(source_id)s
  AND p.last_seen_at > %(seen_before)s
  AND EXISTS (SELECT FROM unnest(%(prefixes)s::text[]) AS prefix WHERE starts_with(link, prefix))
  AND NOT EXISTS (
      SELECT FROM scraped_pages AS k WHERE k.source_id = %(source_id)s AND k.url = link
  )
LIMIT %(limit)s

-- fresh_urls --
SELECT url
FROM scraped_pages
WHERE source_id = %(source_id)s
  AND url = ANY (%(urls)s)
  AND last_seen_at > %(seen_before)s

-- touch --
UPDATE scraped_pages
SET last_seen_at = now()
WHERE id = ANY (%(page_ids)b)

-- refresh_validators --
UPDATE scraped_pages AS p
SET last_seen_at = now(),
    body_hash = u.body_hash,
    etag = u.etag,
    last_modified = u.last_modified,
    outlinks = (%(outlinks)b::text[])[u.outlinks_end - u.outlink_count + 1 : u.outlinks_end]
FROM (
    SELECT c.*, sum(c.outlink_count) OVER (ORDER BY c.position)::integer AS outlinks_end
    FROM unnest(
        %(page_ids)b::bigint[], %(body_hashes)b::bytea[], %(etags)b::text[], %(last_modifieds)b::text[],
        %(outlink_counts)b::integer[]
    ) WITH ORDINALITY AS c (page_id, body_hash, etag, last_modified, outlink_count, position)
) AS u
WHERE p.id = u.page_id

-- own_chunks --
SELECT p.url, e.chunk_hash
FROM scraped_pages AS p
JOIN page_embeddings AS e ON e.page_id = p.id AND e.model_id = %(model_id)b
WHERE p.source_id = %(source_id)b
  AND p.url = ANY (%(urls)b)

-- reusable_vectors --
SELECT h.chunk_hash, e.embedding, e.token_count
FROM unnest(%(chunk_hashes)b::bytea[]) AS h (chunk_hash)
CROSS JOIN LATERAL (
    SELECT embedding, token_count
    FROM page_embeddings
    WHERE model_id = %(model_id)b
      AND chunk_hash = h.chunk_hash
    LIMIT 1
) AS e

-- stored --
SELECT id, url, content_hash, body_hash, etag, last_modified, outlinks, last_seen_at, title, language, content, structured
FROM scraped_pages
WHERE source_id = %(source_id)s
  AND url > %(after)s
  AND last_seen_at > %(seen_after)s
ORDER BY url
LIMIT %(limit)s

-- record_failures --
INSERT INTO failed_pages AS f (source_id, url, kind, http_status, message, next_retry_at)
SELECT %(source_id)s, u.url, u.kind, u.http_status, u.message, now() + interval '15 minutes'
FROM unnest(%(urls)s::text[], %(kinds)s::text[], %(http_statuses)s::integer[], %(messages)s::text[])
    AS u (url, kind, http_status, message)
ON CONFLICT (source_id, url) DO UPDATE
SET kind = EXCLUDED.kind,
    http_status = EXCLUDED.http_status,
    message = EXCLUDED.message,
    attempts = f.attempts + 1,
    last_failed_at = now(),
    next_retry_at = now() + least(interval '15 minutes' * power(4, least(f.attempts, 10)), interval '7 days')

-- clear_failures --
DELETE FROM failed_pages
WHERE source_id = %(source_id)s
  AND url = ANY (%(urls)s)

-- due_failures --
SELECT url
FROM failed_pages
WHERE source_id = %(source_id)s
  AND next_retry_at <= now()
ORDER BY next_retry_at
LIMIT %(limit)s

-- bury --
WITH gone AS (
    SELECT u.url, u.reason, u.http_status
    FROM unnest(%(urls)s::text[], %(reasons)s::text[], %(http_statuses)s::integer[]) AS u (url, reason, http_status)
),
deleted AS (
    DELETE FROM scraped_pages AS p
    USING gone AS g
    WHERE p.source_id = %(source_id)s
      AND p.url = g.url
    RETURNING p.url, p.content_hash, g.reason, g.http_status
)
INSERT INTO page_tombstones (source_id, url, reason, http_status, content_hash, job_id)
SELECT %(source_id)s, d.url, d.reason, d.http_status, d.content_hash, %(job_id)s
FROM deleted AS d
ON CONFLICT (source_id, url) DO UPDATE
SET reason = EXCLUDED.reason,
    http_status = EXCLUDED.http_status,
    content_hash = EXCLUDED.content_hash,
    job_id = EXCLUDED.job_id,
    deleted_at = now()

-- clear_tombstones --
DELETE FROM page_tombstones
WHERE source_id = %(source_id)s
  AND url = ANY (%(urls)s)

-- broken_pages --
SELECT p.id, p.source_id, p.url
FROM scraped_pages AS p
CROSS JOIN (SELECT id FROM embedding_models WHERE state = 'active') AS m
WHERE ARRAY(SELECT DISTINCT h FROM unnest(p.chunk_hashes) AS h WHERE p.duplicate_of IS NULL ORDER BY h)
    IS DISTINCT FROM
    ARRAY(
        SELECT e.chunk_hash
        FROM page_embeddings AS e
        WHERE e.page_id = p.id
          AND e.model_id = m.id
        ORDER BY e.chunk_hash
    )
ORDER BY p.id
LIMIT %(limit)s

-- coverage --
SELECT
    count(*) AS pages,
    count(*) FILTER (WHERE p.duplicate_of IS NULL AND cardinality(p.chunk_hashes) = 0) AS empty_pages,
    (SELECT count(*) FROM page_embeddings AS e JOIN embedding_models AS m ON m.id = e.model_id WHERE m.state = 'active')
        AS chunks,
    (SELECT count(*) FROM failed_pages) AS failed
FROM scraped_pages AS p
