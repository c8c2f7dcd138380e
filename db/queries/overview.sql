-- What operators ask of the database. Reads only.

-- state --
CASE
    WHEN s.enabled AND s.auto_disabled THEN 'auto_disabled'
    WHEN s.enabled AND s.backoff_until > now() THEN 'backoff'
    WHEN s.enabled THEN 'enabled'
    WHEN s.discovery ? 'rejected_at' THEN 'rejected'
    WHEN s.discovery IS NOT NULL AND NOT s.discovery ? 'reviewed_at' THEN 'review'
    ELSE 'disabled'
END

-- is_empty --
-- Among the last runs that came as far as the site, none found what it should have (A21).
(
    SELECT count(*) = %(empty_runs)s AND bool_and(run.is_empty)
    FROM (
        SELECT
            j.finish_reason IS NOT DISTINCT FROM 'yield_collapse' OR NOT EXISTS (
                SELECT
                FROM jsonb_each(j.stats) AS c
                WHERE c.key = ANY (%(present)s)
                  AND c.value > '0'
            ) AS is_empty
        FROM scrape_jobs AS j
        WHERE j.source_id = s.id
          AND (j.status = 'succeeded' OR (j.status = 'failed' AND j.finish_reason = ANY (%(reasons_of_sites)s)))
        ORDER BY j.queued_at DESC
        LIMIT %(empty_runs)s
    ) AS run
)

-- sources --
WITH standing AS (
    SELECT
        s.*,
        %(state)i AS state,
        %(is_empty)i AS is_empty
    FROM scraper_sources AS s
    WHERE (%(source_id)s::uuid IS NULL OR s.id = %(source_id)s)
      AND (%(kind)s::text IS NULL OR s.spider = %(kind)s)
),
chosen AS (
    SELECT *
    FROM standing
    WHERE %(state)s::text IS NULL
       OR state = %(state)s
       OR (%(state)s = 'empty' AND is_empty)
    ORDER BY slug
    LIMIT %(limit)s
)
SELECT
    s.*,
    (SELECT count(*) FROM scraped_pages WHERE source_id = s.id) AS pages,
    (SELECT count(*) FROM failed_pages WHERE source_id = s.id) AS failed_pages,
    j.status AS last_status,
    j.finish_reason AS last_reason,
    j.completed_at - j.started_at AS last_duration
FROM chosen AS s
LEFT JOIN LATERAL (
    SELECT status, finish_reason, started_at, completed_at
    FROM scrape_jobs
    WHERE source_id = s.id
    ORDER BY queued_at DESC
    LIMIT 1
) AS j ON true
ORDER BY s.slug

-- empty --
SELECT s.slug
FROM scraper_sources AS s
WHERE s.enabled
  AND %(is_empty)i
ORDER BY s.slug

-- counts --
SELECT
    (SELECT count(*) FROM scraped_pages WHERE source_id = %(source_id)s) AS pages,
    (
        SELECT count(*)
        FROM page_embeddings AS e
        JOIN scraped_pages AS p ON p.id = e.page_id
        JOIN embedding_models AS m ON m.id = e.model_id
        WHERE p.source_id = %(source_id)s
          AND m.state = 'active'
    ) AS chunks,
    (SELECT count(*) FROM failed_pages WHERE source_id = %(source_id)s) AS failed_pages,
    (SELECT count(*) FROM page_tombstones WHERE source_id = %(source_id)s) AS tombstones

-- check_intervals --
SELECT
    count(*) AS pages,
    min(check_interval) AS least,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY check_interval) AS median,
    max(check_interval) AS most
FROM page_checks
WHERE source_id = %(source_id)s

-- failed_pages --
SELECT url, kind, http_status, message, attempts, first_failed_at, last_failed_at, next_retry_at
FROM failed_pages
WHERE source_id = %(source_id)s
ORDER BY attempts DESC, url
LIMIT %(limit)s

-- ledger --
WITH recorded AS (
    SELECT stats
    FROM scrape_jobs
    WHERE (%(source_id)s::uuid IS NULL OR source_id = %(source_id)s)
      AND status IN ('succeeded', 'failed')
      AND stats <> '{}'
    ORDER BY queued_at DESC
    LIMIT %(runs)s
),
totals AS (
    SELECT
        c.key,
        sum(c.value::numeric) AS total
    FROM recorded
    CROSS JOIN LATERAL jsonb_each(recorded.stats) AS c
    WHERE jsonb_typeof(c.value) = 'number'
    GROUP BY c.key
)
SELECT
    (SELECT count(*) FROM recorded) AS runs,
    (SELECT coalesce(jsonb_object_agg(key, total), '{}') FROM totals) AS counters

-- slugs --
SELECT id, slug
FROM scraper_sources
WHERE id = ANY (%(source_ids)s)

-- uncovered --
SELECT count(*)
FROM scraped_pages AS p
CROSS JOIN (SELECT id FROM embedding_models WHERE state = 'active') AS m
WHERE p.duplicate_of IS NULL
  AND cardinality(p.chunk_hashes) > 0
  AND NOT EXISTS (SELECT FROM page_embeddings AS e WHERE e.page_id = p.id AND e.model_id = m.id)

-- overdue --
SELECT slug
FROM scraper_sources
WHERE enabled
  AND coalesce(last_success_at, created_at) < now() - refresh_interval * 1.1
ORDER BY slug

-- pgvector --
SELECT extversion
FROM pg_extension
WHERE extname = 'vector'

-- unusable_indexes --
SELECT i.indexrelid::regclass::text
FROM pg_index AS i
WHERE i.indrelid = 'page_embeddings'::regclass
  AND NOT i.indisvalid
  AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS b WHERE b.index_relid = i.indexrelid)
ORDER BY 1

-- rendered --
SELECT slug
FROM scraper_sources
WHERE enabled
  AND config ->> 'render' = 'always'
ORDER BY slug
