-- Reading the index. Placeholders with %b go over the wire in binary; %i includes the statement of that name.

-- check --
c.page_id IS NOT NULL, c.checks_since_fetch, c.signal, c.fetched_at, c.sitemap_lastmod, c.reader, c.body_bytes,
c.chunks, c.tokens

-- known_page --
p.id, p.url, p.content_hash, p.body_hash, p.etag, p.last_modified, p.outlinks, p.last_seen_at, p.duplicate_of,
%(check)i

-- known_by_url --
SELECT
    %(known_page)i
FROM scraped_pages AS p
LEFT JOIN page_checks AS c ON c.page_id = p.id
WHERE p.source_id = %(source_id)b
  AND p.url = ANY(%(urls)b)

-- due --
SELECT
    %(known_page)i, greatest(p.last_seen_at, f.last_failed_at)
FROM scraped_pages AS p
LEFT JOIN page_checks AS c ON c.page_id = p.id
LEFT JOIN failed_pages AS f ON f.source_id = p.source_id AND f.url = p.url
WHERE p.source_id = %(source_id)s
  AND is_page_due(p.last_seen_at, c.next_check_at, %(seen_before)s, %(due_by)s, %(longest)s)
  AND (greatest(p.last_seen_at, f.last_failed_at), p.url)
    > (coalesce(%(after_tried)s, '-infinity'::timestamptz), %(after_url)s)
ORDER BY greatest(p.last_seen_at, f.last_failed_at), p.url
LIMIT %(limit)s

-- distrusted --
SELECT
    %(known_page)i
FROM scraped_pages AS p
JOIN page_checks AS c ON c.page_id = p.id
WHERE p.source_id = %(source_id)s
  AND c.next_check_at = '-infinity'
  AND p.url > %(after)s
ORDER BY p.url
LIMIT %(limit)s

-- standing --
SELECT
    p.id, p.url, is_page_due(p.last_seen_at, c.next_check_at, %(seen_before)s, %(due_by)s, %(longest)s),
    p.last_seen_at <= %(seen_before)s OR %(due_by)s::timestamptz IS NULL,
    EXISTS (
        SELECT FROM failed_pages AS f WHERE f.source_id = %(source_id)s AND f.url = p.url
    ),
    %(check)i
FROM scraped_pages AS p
LEFT JOIN page_checks AS c ON c.page_id = p.id
WHERE p.source_id = %(source_id)s
  AND p.url = ANY(%(urls)s)

-- fresh --
SELECT
    count(*), coalesce(sum(c.body_bytes), 0), coalesce(sum(c.chunks), 0), coalesce(sum(c.tokens), 0)
FROM scraped_pages AS p
LEFT JOIN page_checks AS c ON c.page_id = p.id
WHERE p.source_id = %(source_id)s
  AND NOT is_page_due(p.last_seen_at, c.next_check_at, %(seen_before)s, %(due_by)s, %(longest)s)

-- count_known --
SELECT count(*)
FROM scraped_pages
WHERE source_id = %(source_id)s

-- unknown_outlinks --
SELECT DISTINCT link
FROM scraped_pages AS p
LEFT JOIN page_checks AS c ON c.page_id = p.id
CROSS JOIN LATERAL unnest(p.outlinks) AS link
WHERE p.source_id = %(source_id)s
  AND (
      p.id = ANY(%(page_ids)s)
      OR NOT is_page_due(p.last_seen_at, c.next_check_at, %(seen_before)s, %(due_by)s, %(longest)s)
  )
  AND EXISTS (SELECT FROM unnest(%(prefixes)s::text[]) AS prefix WHERE starts_with(link, prefix))
  AND NOT EXISTS (
      SELECT FROM scraped_pages AS k WHERE k.source_id = %(source_id)s AND k.url = link
  )
LIMIT %(limit)s

-- known_urls --
SELECT url
FROM scraped_pages
WHERE source_id = %(source_id)s
  AND url = ANY (%(urls)s)

-- own_chunks --
SELECT p.url, e.chunk_hash, e.token_count
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
    UNION ALL
    SELECT embedding, token_count
    FROM pending_texts
    WHERE model_id = %(model_id)b
      AND chunk_hash = h.chunk_hash
      AND embedding IS NOT NULL
    LIMIT 1
) AS e

-- stored --
SELECT
    %(known_page)i,
    p.title, p.language, p.content, p.structured
FROM scraped_pages AS p
LEFT JOIN page_checks AS c ON c.page_id = p.id
WHERE p.source_id = %(source_id)s
  AND p.url > %(after)s
  AND p.duplicate_of IS NULL
  AND p.last_seen_at < %(started_at)s
  AND NOT is_page_due(p.last_seen_at, c.next_check_at, %(seen_before)s, %(due_by)s, %(longest)s)
ORDER BY p.url
LIMIT %(limit)s

-- of_kinds --
SELECT
    %(known_page)i,
    p.title, p.language, p.content, p.structured, c.kind
FROM scraped_pages AS p
JOIN page_checks AS c ON c.page_id = p.id
WHERE p.source_id = %(source_id)s
  AND p.url > %(after)s
  AND p.duplicate_of IS NULL
  AND p.content_hash <> ''
  AND c.kind = ANY (%(kinds)s)
ORDER BY p.url
LIMIT %(limit)s

-- of_urls --
SELECT
    %(known_page)i,
    p.title, p.language, p.content, p.structured
FROM scraped_pages AS p
LEFT JOIN page_checks AS c ON c.page_id = p.id
WHERE p.source_id = %(source_id)s
  AND p.url = ANY (%(urls)s)
ORDER BY p.url

-- contents --
SELECT url, title, content
FROM scraped_pages
WHERE source_id = %(source_id)s
  AND url = ANY (%(urls)s)

-- heirs --
SELECT
    %(known_page)i,
    p.title, p.language, p.content, p.structured, o.url
FROM scraped_pages AS p
JOIN scraped_pages AS o ON o.id = p.duplicate_of
LEFT JOIN page_checks AS c ON c.page_id = p.id
WHERE p.source_id = %(source_id)s
  AND p.content_hash <> o.content_hash
  AND p.url > %(after)s
  AND (o.last_changed_at >= %(changed_since)s OR o.url = ANY (%(gone)s))
ORDER BY p.url
LIMIT %(limit)s

-- count_stale --
SELECT count(*)
FROM scraped_pages
WHERE source_id = %(source_id)s
  AND last_seen_at < %(seen_before)s

-- count_uncovered --
SELECT count(*)
FROM scraped_pages AS p
JOIN embedding_models AS m ON m.state = 'active'
WHERE p.source_id = %(source_id)s
  AND p.duplicate_of IS NULL
  AND cardinality(p.chunk_hashes) > 0
  AND NOT EXISTS (SELECT FROM page_embeddings AS e WHERE e.page_id = p.id AND e.model_id = m.id)

-- count_unasked --
SELECT count(*)
FROM scraped_pages AS p
LEFT JOIN page_checks AS c ON c.page_id = p.id
WHERE p.source_id = %(source_id)s
  AND p.last_seen_at < %(started_at)s
  AND is_page_due(p.last_seen_at, c.next_check_at, %(seen_before)s, %(due_by)s, %(longest)s)
  AND NOT EXISTS (
      SELECT FROM failed_pages AS f
      WHERE f.source_id = %(source_id)s AND f.url = p.url AND f.last_failed_at >= %(started_at)s
  )
  AND NOT EXISTS (
      SELECT FROM pending_pages AS q
      WHERE q.source_id = %(source_id)s AND q.url = p.url AND q.created_at >= %(started_at)s
  )
  AND p.url <> ALL (%(gone)s)

-- due_failures --
SELECT url
FROM failed_pages
WHERE source_id = %(source_id)s
  AND next_retry_at <= now()
ORDER BY next_retry_at
LIMIT %(limit)s

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
    OR (p.duplicate_of IS NULL AND p.content <> '' AND cardinality(p.chunk_hashes) = 0)
ORDER BY p.id
LIMIT %(limit)s

-- broken_covers --
-- A manifest that holds other chunks than are embedded, and embeddings without one. Those of the active model say nothing:
-- they are on their way in or out.
SELECT DISTINCT p.id, p.source_id, p.url
FROM (
    SELECT e.page_id, e.model_id, array_agg(e.chunk_hash ORDER BY e.chunk_hash) AS embedded
    FROM page_embeddings AS e
    WHERE e.model_id IN (SELECT m.id FROM embedding_models AS m WHERE m.state <> 'active')
    GROUP BY e.page_id, e.model_id
) AS e
FULL JOIN (
    SELECT m.*
    FROM page_manifests AS m
    WHERE m.model_id IN (SELECT o.id FROM embedding_models AS o WHERE o.state <> 'active')
) AS m USING (page_id, model_id)
JOIN scraped_pages AS p ON p.id = page_id
WHERE coalesce(e.embedded, '{}') <> ARRAY(SELECT DISTINCT h FROM unnest(m.chunk_hashes) AS h ORDER BY h)
   OR m.page_id IS NULL
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
