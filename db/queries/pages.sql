-- Reading the index. Placeholders with %b go over the wire in binary.

-- known_by_url --
SELECT id, url, content_hash, body_hash, etag, last_modified, outlinks, last_seen_at
FROM scraped_pages
WHERE source_id = %(source_id)b
  AND url = ANY(%(urls)b)

-- due --
SELECT id, url, content_hash, body_hash, etag, last_modified, outlinks, last_seen_at
FROM scraped_pages
WHERE source_id = %(source_id)s
  AND last_seen_at <= %(seen_before)s
  AND (last_seen_at, url) > (coalesce(%(after_seen)s, '-infinity'::timestamptz), %(after_url)s)
ORDER BY last_seen_at, url
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
