-- How far models cover the index. Reads only.

-- lacking --
-- The pages that a model does not cover, and whose present text it was not tried on.
SELECT p.id, p.title, p.content
FROM scraped_pages AS p
LEFT JOIN page_manifests AS m ON m.page_id = p.id AND m.model_id = %(model_id)s
WHERE p.duplicate_of IS NULL
  AND m.content_hash IS DISTINCT FROM p.content_hash

-- by_model --
WITH page AS (
    SELECT count(*) AS pages
    FROM scraped_pages
    WHERE duplicate_of IS NULL
),
uncovered AS (
    SELECT count(*) AS pages
    FROM scraped_pages AS p
    JOIN embedding_models AS a ON a.state = 'active'
    WHERE p.duplicate_of IS NULL
      AND cardinality(p.chunk_hashes) > 0
      AND NOT EXISTS (SELECT FROM page_embeddings AS e WHERE e.page_id = p.id AND e.model_id = a.id)
),
manifest AS (
    SELECT
        m.model_id,
        count(*) FILTER (WHERE m.content_hash = p.content_hash AND m.refusal IS NULL) AS covered,
        count(*) FILTER (WHERE m.content_hash = p.content_hash AND m.refusal IS NOT NULL) AS refused,
        count(*) FILTER (WHERE m.content_hash <> p.content_hash) AS changed
    FROM page_manifests AS m
    JOIN scraped_pages AS p ON p.id = m.page_id
    WHERE p.duplicate_of IS NULL
    GROUP BY m.model_id
),
chunk AS (
    SELECT
        model_id,
        count(*) AS chunks,
        count(*)::numeric / sum(count(*)) OVER () AS share
    FROM page_embeddings
    GROUP BY model_id
)
SELECT
    m.id, m.provider, m.name, m.dimensions, m.chunker_version, m.state, m.base_url,
    page.pages,
    CASE WHEN m.state = 'active' THEN page.pages - uncovered.pages ELSE coalesce(f.covered, 0) END AS covered,
    CASE WHEN m.state = 'active' THEN 0 ELSE coalesce(f.changed, 0) END AS changed,
    CASE WHEN m.state = 'active' THEN 0 ELSE coalesce(f.refused, 0) END AS refused,
    coalesce(c.chunks, 0) AS chunks,
    (pg_table_size('page_embeddings') * coalesce(c.share, 0))::bigint AS row_bytes,
    (
        SELECT coalesce(sum(pg_relation_size(i.indexrelid)), 0)::bigint
        FROM pg_index AS i
        WHERE i.indrelid = 'page_embeddings'::regclass
          AND pg_get_expr(i.indpred, i.indrelid) = format('(model_id = %%s)', m.id)
    ) AS index_bytes
FROM embedding_models AS m
CROSS JOIN page
CROSS JOIN uncovered
LEFT JOIN manifest AS f ON f.model_id = m.id
LEFT JOIN chunk AS c ON c.model_id = m.id
ORDER BY m.id

-- any_vector --
SELECT content, embedding
FROM page_embeddings
WHERE model_id = %(model_id)s
LIMIT 1

-- size --
-- Bytes of the tables that are counted, and whether the planner knows how many rows they have.
SELECT sum(pg_relation_size(c.oid))::bigint, bool_and(c.reltuples >= 0)
FROM pg_class AS c
WHERE c.oid IN ('scraped_pages'::regclass, 'page_embeddings'::regclass, 'page_manifests'::regclass)

-- by_statistics --
-- What the planner knows, without reading a table. A manifest that is no longer of its page's text counts as well.
WITH relation AS (
    SELECT c.relname, n.nspname, greatest(c.reltuples, 0) AS tuples
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid IN ('scraped_pages'::regclass, 'page_embeddings'::regclass, 'page_manifests'::regclass)
),
share AS (
    SELECT r.relname, u.model_id, round(u.share * r.tuples)::bigint AS tuples
    FROM relation AS r
    JOIN pg_stats AS s ON s.schemaname = r.nspname AND s.tablename = r.relname AND s.attname = 'model_id'
    CROSS JOIN LATERAL unnest(s.most_common_vals::text::integer[], s.most_common_freqs) AS u (model_id, share)
),
page AS (
    SELECT round(r.tuples * coalesce(s.null_frac, 1))::bigint AS pages
    FROM relation AS r
    LEFT JOIN pg_stats AS s ON s.schemaname = r.nspname AND s.tablename = r.relname AND s.attname = 'duplicate_of'
    WHERE r.relname = 'scraped_pages'
)
SELECT
    m.id, m.provider, m.name, m.dimensions, m.chunker_version, m.state,
    page.pages,
    CASE WHEN m.state = 'active' THEN page.pages ELSE least(coalesce(f.tuples, 0), page.pages) END AS covered,
    coalesce(c.tuples, 0) AS chunks,
    true AS is_estimate
FROM embedding_models AS m
CROSS JOIN page
LEFT JOIN share AS f ON f.relname = 'page_manifests' AND f.model_id = m.id
LEFT JOIN share AS c ON c.relname = 'page_embeddings' AND c.model_id = m.id
ORDER BY m.id

-- workload --
WITH page AS MATERIALIZED (
    SELECT l.id
    FROM (%(lacking)i) AS l
),
text AS (
    SELECT
        e.chunk_hash,
        max(length(e.content)) AS characters,
        max(e.token_count) AS tokens
    FROM page
    JOIN page_embeddings AS e ON e.page_id = page.id
    WHERE e.model_id = (SELECT a.id FROM embedding_models AS a WHERE a.state = 'active')
    GROUP BY e.chunk_hash
),
marked AS (
    SELECT
        t.*,
        EXISTS (
            SELECT FROM page_embeddings AS b WHERE b.model_id = %(model_id)s AND b.chunk_hash = t.chunk_hash
        )
        OR EXISTS (
            SELECT FROM pending_texts AS w
            WHERE w.model_id = %(model_id)s
              AND w.chunk_hash = t.chunk_hash
              AND (w.embedding IS NOT NULL OR (%(by_batch)s AND w.refusal IS NULL))
        ) AS is_stored
    FROM text AS t
)
SELECT
    (SELECT count(*) FROM page),
    count(*) FILTER (WHERE NOT is_stored),
    count(*) FILTER (WHERE is_stored),
    coalesce(sum(characters) FILTER (WHERE NOT is_stored), 0),
    coalesce(sum(tokens) FILTER (WHERE NOT is_stored), 0),
    coalesce(sum(characters) FILTER (WHERE NOT is_stored AND tokens IS NULL), 0)
FROM marked

-- sample --
SELECT l.content, l.title
FROM (%(lacking)i) AS l
ORDER BY hashint8(l.id)
LIMIT %(limit)s
