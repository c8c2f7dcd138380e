-- Hybrid search: vectors and full text, fused by reciprocal rank (Cormack, Clarke and Buettcher, SIGIR 2009).
-- depends: 0004.bulk_writes

-- A query stemmed for each language that was indexed, ORed: with AND between its words, or with OR. Of a very long
-- query only the beginning is read: a tsquery is a tree, and a deep one exhausts the stack.
CREATE FUNCTION lcl_text_query(p_query text, p_any_word boolean)
RETURNS tsquery
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    config  regconfig;
    part    tsquery;
    whole   tsquery := '';
BEGIN
    FOR config IN
        SELECT DISTINCT lcl_text_config(l.language)
        FROM (SELECT i.language FROM indexed_languages AS i UNION ALL SELECT NULL) AS l
    LOOP
        part := CASE
            WHEN p_any_word THEN replace(plainto_tsquery(config, left(p_query, 1000))::text, ' & ', ' | ')::tsquery
            ELSE websearch_to_tsquery(config, left(p_query, 1000))
        END;
        whole := whole || part;
    END LOOP;
    RETURN whole;
END;
$$;

-- The best chunk of each of the best pages. Model and dimension are literals in the inner statement, because a
-- partial index on an expression is only found that way. Either the query text or the embedding may be NULL, and an
-- empty one is not evaluated: comparing with nothing would still fetch every row's text.
CREATE FUNCTION search_pages(
    p_query      text,
    p_embedding  vector,
    p_limit      integer DEFAULT 10,
    p_source_id  uuid DEFAULT NULL,
    p_candidates integer DEFAULT 100,
    p_rrf_k      integer DEFAULT 60
)
RETURNS TABLE (
    page_id     bigint,
    source_id   uuid,
    url         text,
    title       text,
    language    text,
    heading     text,
    content     text,
    score       double precision,
    vector_rank integer,
    text_rank   integer
)
LANGUAGE plpgsql
STABLE
SET hnsw.iterative_scan = 'strict_order'
SET hnsw.ef_search = 100
AS $$
DECLARE
    model embedding_models;
BEGIN
    SELECT m.* INTO model FROM embedding_models AS m WHERE m.state = 'active';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        $query$
        WITH nearest AS MATERIALIZED (
            SELECT e.id, e.embedding::%1$s <=> $2::%1$s AS distance
            FROM page_embeddings AS e
            WHERE e.model_id = %2$s
              AND $2 IS NOT NULL
              AND ($4::uuid IS NULL OR e.source_id = $4)
            ORDER BY e.embedding::%1$s <=> $2::%1$s
            LIMIT $5
        ),
        by_vector AS (
            SELECT n.id, row_number() OVER (ORDER BY n.distance, n.id)::integer AS rank
            FROM nearest AS n
        ),
        matched AS MATERIALIZED (
            (
                SELECT e.id, e.search
                FROM page_embeddings AS e
                WHERE e.model_id = %2$s
                  AND numnode($7) > 0
                  AND e.search @@ $7
                  AND ($4::uuid IS NULL OR e.source_id = $4)
                LIMIT 1000
            )
            UNION ALL
            (
                SELECT e.id, e.search
                FROM page_embeddings AS e
                WHERE e.model_id = %2$s
                  AND numnode($8) > 0
                  AND e.search @@ $8
                  AND NOT e.search @@ $7
                  AND ($4::uuid IS NULL OR e.source_id = $4)
                LIMIT 2000
            )
        ),
        by_text AS (
            SELECT
                m.id,
                row_number() OVER (ORDER BY m.search @@ $7 DESC, ts_rank_cd(m.search, $8, 1) DESC, m.id)::integer AS rank
            FROM matched AS m
            ORDER BY rank
            LIMIT $5
        ),
        fused AS (
            SELECT
                id,
                coalesce(1.0 / ($6 + v.rank), 0) + coalesce(1.0 / ($6 + t.rank), 0) AS score,
                v.rank AS vector_rank,
                t.rank AS text_rank
            FROM by_vector AS v
            FULL JOIN by_text AS t USING (id)
        ),
        best AS (
            SELECT DISTINCT ON (e.page_id) e.page_id, e.heading, e.content, f.score, f.vector_rank, f.text_rank
            FROM fused AS f
            JOIN page_embeddings AS e USING (id)
            ORDER BY e.page_id, f.score DESC, e.id
        )
        SELECT
            p.id, p.source_id, p.url, p.title, p.language, b.heading, b.content, b.score::double precision,
            b.vector_rank, b.text_rank
        FROM best AS b
        JOIN scraped_pages AS p ON p.id = b.page_id
        ORDER BY b.score DESC, p.id
        LIMIT $3
        $query$,
        CASE WHEN model.dimensions > 2000 THEN 'halfvec' ELSE 'vector' END || '(' || model.dimensions || ')',
        model.id
    )
    USING
        p_query, p_embedding, p_limit, p_source_id, p_candidates, p_rrf_k,
        lcl_text_query(coalesce(p_query, ''), false), lcl_text_query(coalesce(p_query, ''), true);
END;
$$;
