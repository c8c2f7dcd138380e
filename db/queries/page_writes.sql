-- Writing the index. Placeholders with %b go over the wire in binary.

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
    %(structured)b::jsonb[], %(seen_ats)b::timestamptz[]
)

-- insert_embeddings --
SELECT page_id, kept, added, removed
FROM bulk_insert_embeddings(
    %(model_id)b, %(source_id)b, %(page_ids)b, %(languages)b, %(positions)b, %(chunk_hashes)b, %(headings)b,
    %(contents)b, %(token_counts)b, %(embeddings)b
)

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
