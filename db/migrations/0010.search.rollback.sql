DROP FUNCTION search_pages(
    text, vector, integer, integer, uuid[], text[], text, timestamptz, integer, integer, double precision
);

DROP FUNCTION lcl_text_queries(text, integer);

DROP FUNCTION lcl_lexeme_query(text, text);

DROP INDEX scraped_pages_changed_idx;

DROP INDEX scraped_pages_language_idx;

DROP INDEX scraped_pages_path_idx;

DROP FUNCTION lcl_url_path(text);

-- What a query asks of a text, stemmed for each language that was indexed and ORed over them: all of it, or any word of
-- it. `-word` and `-"a phrase"` exclude a text in whatever language they match, so that they are cut out before the
-- rest is stemmed; a dash that stands alone is punctuation. Without a word that is wanted, neither query has a node.
-- Of a very long query only the beginning is read: a tsquery is a tree, and a deep one exhausts the stack.
CREATE FUNCTION lcl_text_queries(p_query text, OUT all_of_it tsquery, OUT any_word tsquery, OUT excluded tsquery)
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    config   regconfig;
    wanted   text;
    unwanted text;
BEGIN
    SELECT
        coalesce(string_agg(t.term, ' ' ORDER BY t.position) FILTER (WHERE NOT t.negated), ''),
        coalesce(string_agg('"' || trim('"' FROM t.term) || '"', ' OR ') FILTER (WHERE t.negated), '')
    INTO wanted, unwanted
    FROM (
        SELECT m.parts[1] ~ '-' AS negated, m.parts[2] AS term, m.position
        FROM regexp_matches(left(p_query, 1000), '([-()|&!]*)("[^"]*"?|[^\s"]+)', 'g')
            WITH ORDINALITY AS m (parts, position)
    ) AS t
    WHERE t.term !~ '^[-()|&!]+$';
    all_of_it := '';
    any_word := '';
    excluded := '';
    FOR config IN
        SELECT DISTINCT lcl_text_config(l.language)
        FROM (SELECT i.language FROM indexed_languages AS i UNION ALL SELECT NULL) AS l
    LOOP
        all_of_it := all_of_it || websearch_to_tsquery(config, wanted);
        any_word := any_word || replace(plainto_tsquery(config, wanted)::text, ' & ', ' | ')::tsquery;
        excluded := excluded || websearch_to_tsquery(config, unwanted);
    END LOOP;
    IF numnode(excluded) > 0 AND numnode(any_word) > 0 THEN
        all_of_it := all_of_it && !! excluded;
        any_word := any_word && !! excluded;
    END IF;
END;
$$;

-- The best chunk of each of the best pages. Model and dimension are literals in the inner statement, because a
-- partial index on an expression is only found that way. Either the query text or the embedding may be NULL, and an
-- empty one is not evaluated: comparing with nothing would still fetch every row's text. What the query
-- excludes is dropped from the candidates, not from the scan for the nearest, for the same reason; the LIMIT 1 keeps
-- the planner from turning their look-up into a scan that evaluates it for the whole table.
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
    text  record;
BEGIN
    SELECT m.* INTO model FROM embedding_models AS m WHERE m.state = 'active';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    text := lcl_text_queries(coalesce(p_query, ''));
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
            CROSS JOIN LATERAL (SELECT c.* FROM page_embeddings AS c WHERE c.id = f.id LIMIT 1) AS e
            WHERE numnode($9) = 0
               OR NOT e.search @@ $9
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
        text.all_of_it, text.any_word, text.excluded;
END;
$$;
