-- Writing the index. Placeholders with %b go over the wire in binary.

-- lock_states --
SELECT pg_advisory_xact_lock_shared(%(key)s)

-- lock_fence --
SELECT
    (SELECT m.id FROM embedding_models AS m WHERE m.state = 'active'),
    ARRAY(SELECT m.id FROM embedding_models AS m WHERE m.state = 'building')
FROM domain_fences AS f
WHERE f.domain = %(domain)s
  AND f.fence = %(fence)s
FOR NO KEY UPDATE OF f

-- upsert_pages --
SELECT page_id, url, inserted
FROM bulk_upsert_scraped_pages(
    %(source_id)b, %(urls)b, %(titles)b, %(languages)b, %(contents)b, %(content_hashes)b, %(body_hashes)b,
    %(etags)b, %(last_modifieds)b, %(outlinks)b, %(outlink_counts)b, %(chunk_hashes)b, %(chunk_counts)b,
    %(structured)b::jsonb[], %(seen_ats)b::timestamptz[]
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

-- record_checks --
INSERT INTO page_checks (
    page_id, source_id, next_check_at, check_interval, checks_since_fetch, signal,
    fetched_at, sitemap_lastmod, reader, body_bytes, chunks, tokens, kind, evidence
)
SELECT
    n.page_id, %(source_id)b,
    CASE WHEN n.awaits_reading THEN '-infinity' ELSE least(%(started_at)b::timestamptz + n.check_interval * %(slack)b::float8, n.fetched_at + n.patience) END,
    n.check_interval,
    n.checks_since_fetch, n.signal, n.fetched_at, n.sitemap_lastmod, n.reader, n.body_bytes, n.chunks, n.tokens,
    n.kind, n.evidence
FROM (
    SELECT
        u.page_id, u.patience,
        next_check_interval(c.check_interval, u.changed, %(shortest)b::interval, %(longest)b::interval)
            AS check_interval,
        coalesce(u.checks_since_fetch, c.checks_since_fetch + 1, 0) AS checks_since_fetch,
        u.signal,
        coalesce(u.fetched_at, c.fetched_at) AS fetched_at,
        CASE WHEN u.fetched_at IS NULL THEN c.sitemap_lastmod ELSE u.sitemap_lastmod END AS sitemap_lastmod,
        -- What it inherits is still to be read (leave_heirs_due): a check in the meantime does not settle that.
        NOT u.written AND p.content_hash = '' AS awaits_reading,
        CASE WHEN u.written OR p.content_hash <> '' THEN coalesce(u.reader, c.reader) END AS reader,
        coalesce(u.body_bytes, c.body_bytes, 0) AS body_bytes,
        CASE WHEN u.written THEN e.chunks ELSE coalesce(c.chunks, 0) END AS chunks,
        CASE WHEN u.written THEN e.tokens ELSE coalesce(c.tokens, 0) END AS tokens,
        -- The same body is the same page, unless it is read in another way.
        CASE WHEN u.reader IS NULL OR u.reader = c.reader THEN coalesce(u.kind, c.kind) ELSE u.kind END AS kind,
        CASE WHEN u.reader IS NULL OR u.reader = c.reader THEN coalesce(u.evidence, c.evidence) ELSE u.evidence END
            AS evidence
    FROM unnest(
        %(page_ids)b::bigint[], %(written)b::boolean[], %(changed)b::boolean[], %(checks_since_fetch)b::integer[],
        %(signals)b::text[], %(fetched_ats)b::timestamptz[], %(lastmods)b::text[], %(readers)b::text[],
        %(body_bytes)b::integer[], %(patiences)b::interval[], %(kinds)b::text[], %(evidences)b::jsonb[]
    ) AS u (
        page_id, written, changed, checks_since_fetch, signal, fetched_at, sitemap_lastmod, reader, body_bytes, patience,
        kind, evidence
    )
    JOIN scraped_pages AS p ON p.id = u.page_id
    LEFT JOIN page_checks AS c ON c.page_id = u.page_id
    LEFT JOIN LATERAL (
        SELECT count(*)::integer AS chunks, coalesce(sum(token_count), 0)::integer AS tokens
        FROM page_embeddings
        WHERE page_id = u.page_id
          AND model_id = %(model_id)b
    ) AS e ON u.written
) AS n
ON CONFLICT (page_id) DO UPDATE
SET next_check_at = EXCLUDED.next_check_at,
    check_interval = EXCLUDED.check_interval,
    checks_since_fetch = EXCLUDED.checks_since_fetch,
    signal = EXCLUDED.signal,
    fetched_at = EXCLUDED.fetched_at,
    sitemap_lastmod = EXCLUDED.sitemap_lastmod,
    reader = EXCLUDED.reader,
    body_bytes = EXCLUDED.body_bytes,
    chunks = EXCLUDED.chunks,
    tokens = EXCLUDED.tokens,
    kind = EXCLUDED.kind,
    evidence = EXCLUDED.evidence

-- recount --
UPDATE page_checks AS c
SET chunks = e.chunks,
    tokens = e.tokens
FROM unnest(%(page_ids)s::bigint[]) AS u (page_id)
CROSS JOIN LATERAL (
    SELECT count(*)::integer AS chunks, coalesce(sum(token_count), 0)::integer AS tokens
    FROM page_embeddings
    WHERE page_id = u.page_id
      AND model_id = %(model_id)s
) AS e
WHERE c.page_id = u.page_id

-- twins --
SELECT DISTINCT ON (p.content_hash) p.content_hash, p.id, p.url
FROM scraped_pages AS p
WHERE p.source_id = %(source_id)b
  AND p.content_hash = ANY (%(content_hashes)b)
  AND p.duplicate_of IS NULL
  AND cardinality(p.chunk_hashes) > 0
ORDER BY p.content_hash, p.id

-- point_at_originals --
UPDATE scraped_pages AS p
SET duplicate_of = u.original
FROM unnest(%(page_ids)s::bigint[], %(originals)s::bigint[]) AS u (page_id, original)
WHERE p.id = u.page_id

-- drop_embeddings --
WITH dropped AS (
    DELETE FROM page_manifests
    WHERE page_id = ANY (%(page_ids)s)
)
DELETE FROM page_embeddings
WHERE page_id = ANY (%(page_ids)s)

-- hand_over --
WITH original AS (
    SELECT o.id, o.content_hash, o.chunk_hashes
    FROM unnest(%(urls)s::text[], %(content_hashes)s::bytea[]) AS u (url, content_hash)
    JOIN scraped_pages AS o ON o.source_id = %(source_id)s AND o.url = u.url
    WHERE o.content_hash IS DISTINCT FROM u.content_hash
      AND o.duplicate_of IS NULL
),
heir AS (
    SELECT DISTINCT ON (o.id) o.id AS original, d.id AS heir, o.content_hash, o.chunk_hashes
    FROM original AS o
    JOIN scraped_pages AS d ON d.duplicate_of = o.id AND d.content_hash = o.content_hash
    WHERE d.url <> ALL (%(urls)s)
    ORDER BY o.id, d.id
),
copied AS (
    INSERT INTO page_embeddings (
        page_id, source_id, model_id, language, chunk_hash, heading, content, token_count, embedding, search
    )
    SELECT
        h.heir, e.source_id, e.model_id, e.language, e.chunk_hash, e.heading, e.content, e.token_count, e.embedding,
        e.search
    FROM heir AS h
    JOIN page_embeddings AS e ON e.page_id = h.original
),
covered AS (
    INSERT INTO page_manifests (page_id, model_id, content_hash, chunk_hashes, refusal)
    SELECT h.heir, m.model_id, m.content_hash, m.chunk_hashes, m.refusal
    FROM heir AS h
    JOIN page_manifests AS m ON m.page_id = h.original
)
UPDATE scraped_pages AS p
SET duplicate_of = CASE WHEN p.id = h.heir THEN NULL ELSE h.heir END,
    chunk_hashes = CASE WHEN p.id = h.heir THEN h.chunk_hashes ELSE p.chunk_hashes END
FROM heir AS h
WHERE p.duplicate_of = h.original
  AND p.content_hash = h.content_hash

-- leave_heirs_due --
WITH leaving AS (
    SELECT o.id, o.content_hash, o.duplicate_of
    FROM unnest(%(urls)s::text[], %(content_hashes)s::bytea[]) AS u (url, content_hash)
    JOIN scraped_pages AS o ON o.source_id = %(source_id)s AND o.url = u.url
    WHERE o.content_hash IS DISTINCT FROM u.content_hash
),
heir AS (
    UPDATE scraped_pages AS p
    SET duplicate_of = coalesce(l.duplicate_of, p.duplicate_of),
        content_hash = '',
        body_hash = NULL,
        etag = NULL,
        last_modified = NULL
    FROM leaving AS l
    WHERE p.duplicate_of = l.id
      AND p.url <> ALL (%(urls)s)
    RETURNING p.id
)
UPDATE page_checks AS c
SET next_check_at = '-infinity',
    reader = NULL
FROM heir AS h
WHERE c.page_id = h.id

-- distrust --
UPDATE page_checks
SET next_check_at = '-infinity'
WHERE source_id = %(source_id)s
  AND signal = ANY (%(signals)s)
  AND next_check_at <> '-infinity'

-- record_failures --
INSERT INTO failed_pages AS f (source_id, url, kind, http_status, message, next_retry_at)
SELECT
    %(source_id)s, u.url, u.kind, u.http_status, u.message,
    now() + greatest(interval '15 minutes', u.retry_after * interval '1 second')
FROM unnest(
    %(urls)s::text[], %(kinds)s::text[], %(http_statuses)s::integer[], %(messages)s::text[], %(retry_afters)s::integer[]
) AS u (url, kind, http_status, message, retry_after)
ON CONFLICT (source_id, url) DO UPDATE
SET kind = EXCLUDED.kind,
    http_status = EXCLUDED.http_status,
    message = EXCLUDED.message,
    attempts = f.attempts + 1,
    last_failed_at = now(),
    next_retry_at = greatest(
        EXCLUDED.next_retry_at,
        now() + least(interval '15 minutes' * power(4, least(f.attempts, 10)), interval '7 days')
    )

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
