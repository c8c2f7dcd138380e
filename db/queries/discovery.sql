-- What discovery asks of the database, and how it records what it found.

-- known --
SELECT
    id,
    slug,
    start_url,
    domain,
    NOT enabled AND last_run_at IS NULL AND discovery IS NOT NULL
    AND NOT discovery ?| ARRAY['reviewed_at', 'rejected_at'] AS is_waiting
FROM scraper_sources
WHERE start_url = ANY(%(urls)s)
   OR domain = ANY(%(domains)s)
ORDER BY slug

-- record --
UPDATE scraper_sources
SET confidence = %(score)s,
    discovery = %(discovery)s
WHERE id = %(source_id)s

-- judge_again --
-- No review: whoever looks at the evidence has not been asked yet.
UPDATE scraper_sources
SET confidence = %(score)s,
    discovery = %(discovery)s,
    enabled = %(enabled)s
WHERE id = %(source_id)s

-- most_linked --
-- One row for each domain and linking source before anything is counted: a footer on 10,000 pages is one link.
WITH linked AS (
    SELECT
        split_part(link, '/', 3) AS domain,
        source_id,
        count(DISTINCT p.id) AS pages,
        bool_or(starts_with(link, 'https:')) AS is_secure
    FROM scraped_pages AS p
    CROSS JOIN LATERAL unnest(p.outlinks) AS link
    GROUP BY 1, 2
)
SELECT
    l.domain,
    CASE WHEN bool_or(l.is_secure) THEN 'https' ELSE 'http' END || '://' || l.domain || '/' AS start_url,
    count(DISTINCT s.domain) AS sites,
    sum(l.pages)::bigint AS pages
FROM linked AS l
JOIN scraper_sources AS s ON s.id = l.source_id
WHERE NOT EXISTS (SELECT FROM scraper_sources AS known WHERE known.domain = l.domain)
  AND NOT EXISTS (
      SELECT
      FROM unnest(%(noise)s::text[]) AS noise
      WHERE split_part(l.domain, ':', 1) = noise
         OR right(split_part(l.domain, ':', 1), length(noise) + 1) = '.' || noise
  )
GROUP BY l.domain
ORDER BY sites DESC, pages DESC, l.domain
LIMIT %(limit)s
