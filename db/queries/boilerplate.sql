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
SELECT kind, unit_hash, pages, sampled, text, applied_at IS NOT NULL
FROM source_boilerplate
WHERE source_id = %(source_id)s
ORDER BY kind, pages DESC, unit_hash

-- forget --
DELETE FROM source_boilerplate
WHERE source_id = %(source_id)s
  AND (kind, unit_hash) NOT IN (
      SELECT u.kind, u.unit_hash
      FROM unnest(%(kinds)s::text[], %(unit_hashes)s::bytea[]) AS u (kind, unit_hash)
  )

-- learn --
INSERT INTO source_boilerplate AS b (source_id, kind, unit_hash, pages, sampled)
SELECT %(source_id)s, u.kind, u.unit_hash, u.pages, u.sampled
FROM unnest(
    %(kinds)s::text[], %(unit_hashes)s::bytea[], %(pages)s::integer[], %(sampled)s::integer[]
) AS u (kind, unit_hash, pages, sampled)
ON CONFLICT (source_id, kind, unit_hash) DO UPDATE
SET pages = EXCLUDED.pages,
    sampled = EXCLUDED.sampled

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
