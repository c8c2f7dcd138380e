-- What repeats across the pages of a source. Placeholders with %b go over the wire in binary.

-- record_samples --
INSERT INTO page_samples AS s (page_id, source_id, place, kind, reader, units)
SELECT
    u.page_id, %(source_id)b, u.place, u.kind, u.reader,
    (%(units)b::bytea[])[u.units_end - u.unit_count + 1:u.units_end]
FROM (
    SELECT c.*, sum(c.unit_count) OVER (ORDER BY c.position)::integer AS units_end
    FROM unnest(
        %(page_ids)b::bigint[], %(places)b::bigint[], %(kinds)b::text[], %(readers)b::text[], %(unit_counts)b::integer[]
    ) WITH ORDINALITY AS c (page_id, place, kind, reader, unit_count, position)
) AS u
ON CONFLICT (page_id) DO UPDATE
SET kind = EXCLUDED.kind,
    reader = EXCLUDED.reader,
    units = EXCLUDED.units
WHERE (s.kind, s.reader, s.units) IS DISTINCT FROM (EXCLUDED.kind, EXCLUDED.reader, EXCLUDED.units)

-- places --
SELECT place
FROM page_samples
WHERE source_id = %(source_id)s
ORDER BY place
LIMIT %(limit)s

-- trim --
DELETE FROM page_samples
WHERE source_id = %(source_id)s
  AND place > (
      SELECT place
      FROM page_samples
      WHERE source_id = %(source_id)s
      ORDER BY place
      OFFSET %(limit)s - 1
      LIMIT 1
  )

-- sampled --
SELECT s.kind, count(*)::integer
FROM page_samples AS s
JOIN scraped_pages AS p ON p.id = s.page_id AND p.duplicate_of IS NULL
WHERE s.source_id = %(source_id)s
  AND s.reader = %(reader)s
GROUP BY s.kind

-- repeated --
SELECT s.kind, u.unit_hash, count(*)::integer
FROM page_samples AS s
JOIN scraped_pages AS p ON p.id = s.page_id AND p.duplicate_of IS NULL
CROSS JOIN LATERAL unnest(s.units) AS u (unit_hash)
WHERE s.source_id = %(source_id)s
  AND s.reader = %(reader)s
GROUP BY s.kind, u.unit_hash
HAVING count(*) >= %(least)s

-- learned --
SELECT b.kind, b.unit_hash, b.pages, b.sampled, b.text, b.applied_at IS NOT NULL, p.url
FROM source_boilerplate AS b
LEFT JOIN scraped_pages AS p ON p.id = b.keeper
WHERE b.source_id = %(source_id)s
ORDER BY b.kind, b.pages DESC, b.unit_hash

-- keepers --
SELECT p.url, p.content
FROM scraped_pages AS p
WHERE p.id IN (SELECT b.keeper FROM source_boilerplate AS b WHERE b.source_id = %(source_id)s)
  AND p.duplicate_of IS NULL
  AND p.content_hash <> ''

-- successors --
-- The page with the least else to say; one whose text other pages have, too, would not be their original any more.
WITH page AS MATERIALIZED (
    SELECT
        s.kind, s.place, s.units, p.url,
        EXISTS (SELECT FROM scraped_pages AS d WHERE d.duplicate_of = p.id) AS has_twins
    FROM page_samples AS s
    JOIN scraped_pages AS p ON p.id = s.page_id AND p.duplicate_of IS NULL AND p.content_hash <> ''
    JOIN page_checks AS c ON c.page_id = s.page_id AND c.kind = s.kind  -- else it was read since, and not sampled
    WHERE s.source_id = %(source_id)s
      AND s.reader = %(reader)s
      AND p.url <> ALL (%(gone)s::text[])
)

SELECT DISTINCT ON (p.kind, u.unit_hash) p.kind, u.unit_hash, p.url
FROM page AS p
CROSS JOIN LATERAL unnest(p.units) AS u (unit_hash)
WHERE u.unit_hash = ANY (%(unit_hashes)s::bytea[])
ORDER BY p.kind, u.unit_hash, p.has_twins, cardinality(p.units), p.place

-- forget --
DELETE FROM source_boilerplate
WHERE source_id = %(source_id)s
  AND (kind, unit_hash) NOT IN (
      SELECT u.kind, u.unit_hash
      FROM unnest(%(kinds)s::text[], %(unit_hashes)s::bytea[]) AS u (kind, unit_hash)
  )

-- learn --
INSERT INTO source_boilerplate AS b (source_id, kind, unit_hash, pages, sampled, keeper)
SELECT %(source_id)s, u.kind, u.unit_hash, u.pages, u.sampled, p.id
FROM unnest(
    %(kinds)s::text[], %(unit_hashes)s::bytea[], %(pages)s::integer[], %(sampled)s::integer[], %(keepers)s::text[]
) AS u (kind, unit_hash, pages, sampled, keeper)
LEFT JOIN scraped_pages AS p ON p.source_id = %(source_id)s AND p.url = u.keeper
ON CONFLICT (source_id, kind, unit_hash) DO UPDATE
SET pages = EXCLUDED.pages,
    sampled = EXCLUDED.sampled,
    keeper = EXCLUDED.keeper

-- read_anew --
WITH lacking AS (
    SELECT DISTINCT u.kind
    FROM unnest(%(kinds)s::text[], %(unit_hashes)s::bytea[]) AS u (kind, unit_hash)
    JOIN page_samples AS s
        ON s.source_id = %(source_id)s
        AND s.kind = u.kind
        AND u.unit_hash = ANY (s.units)
)

UPDATE page_checks AS c
SET reader = ''
WHERE c.source_id = %(source_id)s
  AND (
      c.kind IN (SELECT kind FROM lacking)
      OR (EXISTS (SELECT FROM lacking) AND c.kind = ANY (%(also)s::text[]))
  )

-- read_soon --
UPDATE page_checks AS c
SET reader = '',
    next_check_at = '-infinity'
FROM scraped_pages AS p
WHERE p.id = c.page_id
  AND p.source_id = %(source_id)s
  AND p.url = ANY (%(urls)s::text[])

-- applied --
UPDATE source_boilerplate AS b
SET applied_at = coalesce(b.applied_at, now()),
    text = coalesce(u.text, b.text)
FROM unnest(%(kinds)s::text[], %(unit_hashes)s::bytea[], %(texts)s::text[]) AS u (kind, unit_hash, text)
WHERE b.source_id = %(source_id)s
  AND b.kind = u.kind
  AND b.unit_hash = u.unit_hash

-- kinds --
SELECT c.kind, count(*)::integer
FROM page_checks AS c
WHERE c.source_id = %(source_id)s
GROUP BY c.kind
ORDER BY count(*) DESC, c.kind
