-- Search: filters, a model that the caller names, and three ranked lists (meaning, words, headings) fused page by page.
-- depends: 0009.models

DROP FUNCTION search_pages(text, vector, integer, uuid, integer, integer);

DROP FUNCTION lcl_text_queries(text);

-- The path of a page's URL, as far as an index can hold it: at most its first 256 characters.
CREATE FUNCTION lcl_url_path(url text)
RETURNS text
LANGUAGE sql
IMMUTABLE
STRICT
PARALLEL SAFE
AS $$
    SELECT left(substring(url FROM '^[a-z]+://[^/]*([^?]*)'), 256);
$$;

-- What a search is filtered by. None of it changes when a page is seen again, so that this stays a HOT update.
CREATE INDEX scraped_pages_path_idx ON scraped_pages (lcl_url_path(url) text_pattern_ops);

CREATE INDEX scraped_pages_language_idx ON scraped_pages (language);

CREATE INDEX scraped_pages_changed_idx ON scraped_pages (last_changed_at);

ANALYZE scraped_pages;

-- A lexeme as a query, quoted, whatever is in it; of label 'A' for one that stands in a heading.
CREATE FUNCTION lcl_lexeme_query(lexeme text, label text DEFAULT '')
RETURNS tsquery
LANGUAGE sql
IMMUTABLE
STRICT
PARALLEL SAFE
AS $$
    SELECT ('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''' || label)::tsquery;
$$;

-- What a query asks of a text, for each language that was indexed and ORed over them: all of it; any of the words that
-- tell texts apart; any of its words; all of its words in a heading; what must not be there. `lexemes` are its rarest
-- words with their weights, the inverse document frequencies (Sparck Jones, 1972).
--
-- How many texts have a word is taken from the planner's statistics, which list the thousand commonest: one that is not
-- listed is rare. Common words tell texts apart only as far as no more than p_candidates texts have them.
--
-- `-word` and `-"a phrase"` exclude a text in whatever language they match, so that they are cut out before the rest is
-- stemmed; a dash that stands alone is punctuation. Without a word that is wanted, no query has a node. Of a very long
-- query only the beginning is read: a tsquery is a tree, and a deep one exhausts the stack.
CREATE FUNCTION lcl_text_queries(
    p_query         text,
    p_candidates    integer,
    OUT all_of_it   tsquery,
    OUT telling     tsquery,
    OUT any_word    tsquery,
    OUT in_heading  tsquery,
    OUT excluded    tsquery,
    OUT lexemes     text[],
    OUT weights     double precision[]
)
LANGUAGE plpgsql
STABLE
SET plan_cache_mode = 'force_generic_plan' -- four fifths of its time would go into planning how to read the catalogue
AS $$
DECLARE
    wanted   text;
    unwanted text;
    words    text[];
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
    WITH spoken AS (
        SELECT DISTINCT lcl_text_config(l.language) AS config
        FROM (SELECT i.language FROM indexed_languages AS i UNION ALL SELECT NULL) AS l
    ),
    asked AS (
        SELECT
            websearch_to_tsquery(s.config, wanted)::text AS whole,
            websearch_to_tsquery(s.config, unwanted)::text AS not_this,
            (SELECT string_agg(lcl_lexeme_query(l, ':A')::text, ' & ') FROM unnest(w.lexemes) AS l) AS heading,
            w.lexemes
        FROM spoken AS s
        CROSS JOIN LATERAL (SELECT tsvector_to_array(to_tsvector(s.config, wanted)) AS lexemes) AS w
    )
    SELECT
        coalesce(string_agg(DISTINCT '(' || nullif(a.whole, '') || ')', ' | '), '')::tsquery,
        coalesce(string_agg(DISTINCT '(' || nullif(a.not_this, '') || ')', ' | '), '')::tsquery,
        coalesce(string_agg(DISTINCT '(' || a.heading || ')', ' | '), '')::tsquery,
        array(SELECT DISTINCT unnest(b.lexemes) FROM asked AS b)
    INTO all_of_it, excluded, in_heading, words
    FROM asked AS a;
    WITH planner AS MATERIALIZED (
        SELECT s.most_common_elems::text::text[] AS elems, s.most_common_elem_freqs AS freqs, c.reltuples
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = 'search'
        WHERE c.oid = 'page_embeddings'::regclass
    ),
    -- Behind the frequencies of the elements stand the least of them and the greatest (pg_statistic.h).
    word AS (
        SELECT
            w.lexeme,
            p.freqs[array_position(p.elems, w.lexeme)] AS listed,
            p.freqs[cardinality(p.elems) + 1] / 2 AS unlisted,
            coalesce(p.reltuples, 0) AS chunks
        FROM unnest(words) AS w (lexeme)
        LEFT JOIN planner AS p ON true
    ),
    rarest AS (
        SELECT
            r.*,
            r.listed IS NULL
            OR r.place = 1
            OR sum(r.listed * r.chunks) OVER (ORDER BY r.place) <= p_candidates AS is_telling
        FROM (
            SELECT w.*, s.share, row_number() OVER (ORDER BY s.share, w.lexeme) AS place
            FROM word AS w
            CROSS JOIN LATERAL (SELECT coalesce(w.listed, w.unlisted, exp(-1)) AS share) AS s
        ) AS r
        WHERE r.place <= 12
    )
    SELECT
        coalesce(string_agg(lcl_lexeme_query(r.lexeme)::text, ' | ') FILTER (WHERE r.is_telling), '')::tsquery,
        coalesce(string_agg(lcl_lexeme_query(r.lexeme)::text, ' | '), '')::tsquery,
        coalesce(array_agg(r.lexeme), '{}'),
        coalesce(array_agg(greatest(-ln(r.share), 0.01)), '{}')
    INTO telling, any_word, lexemes, weights
    FROM rarest AS r;
    IF numnode(excluded) > 0 AND numnode(any_word) > 0 THEN
        all_of_it := all_of_it && !! excluded;
        telling := telling && !! excluded;
        any_word := any_word && !! excluded;
    END IF;
END;
$$;

-- The best pages for a query, of one model (the active one unless p_model_id names another), each with its best chunk.
-- Three lists are ranked by themselves, and fused page by page by reciprocal rank (Cormack, Clarke and Buettcher, SIGIR
-- 2009): the chunks nearest to the embedding; the chunks with the query's words, those with all of them first, then by
-- the weights of the words that they have; the chunks whose headings have all of its words, the shortest heading first.
-- docs/search.md has the figures behind every number here.
--
-- Either the query text or the embedding may be NULL, and an empty one is not evaluated: comparing with nothing would
-- still fetch every row's text. What the query excludes is dropped from the candidates, not from the scan for the
-- nearest, for the same reason.
--
-- Model, dimension and what kind of vector the index holds are literals in the inner statement, because a partial index
-- on an expression is only found that way. ts_filter is there to unpack each text once, for all that looks at it.
--
-- Filters that leave few chunks are answered by comparing all of these, which is exact; others by scanning the index on
-- until enough were found. The first costs a*n for n chunks, the second b*N/n of N, so that they part at a multiple of
-- the root of N: fifty times, as measured. In the second case the conditions on a page are a scalar sub-select, which
-- stays a filter of that scan, where a join could take its place.
CREATE FUNCTION search_pages(
    p_query         text,
    p_embedding     vector,
    p_limit         integer DEFAULT 10,
    p_model_id      integer DEFAULT NULL,
    p_source_ids    uuid[] DEFAULT NULL,
    p_languages     text[] DEFAULT NULL,
    p_path_prefix   text DEFAULT NULL,
    p_changed_since timestamptz DEFAULT NULL,
    p_candidates    integer DEFAULT 100,
    p_rrf_k         integer DEFAULT 10,
    p_vector_weight double precision DEFAULT 0.5
)
RETURNS TABLE (
    page_id      bigint,
    source_id    uuid,
    url          text,
    title        text,
    language     text,
    heading      text,
    content      text,
    score        double precision,
    vector_rank  integer,
    text_rank    integer,
    heading_rank integer
)
LANGUAGE plpgsql
STABLE
SET hnsw.iterative_scan = 'relaxed_order'
SET hnsw.ef_search = 200
AS $$
DECLARE
    model           embedding_models;
    asked           record;
    relevance       text;
    pages_are       text := '';
    chunks_are      text := '';
    few             bigint[];
    few_chunks      double precision;
    pages_per_chunk double precision;
    kind            text;
BEGIN
    SELECT m.* INTO model
    FROM embedding_models AS m
    WHERE CASE WHEN p_model_id IS NULL THEN m.state = 'active' ELSE m.id = p_model_id END;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    p_candidates := greatest(p_candidates, 3 * p_limit);
    IF p_path_prefix IS NOT NULL THEN
        pages_are := pages_are || ' AND lcl_url_path(p.url) LIKE $7';
    END IF;
    IF p_changed_since IS NOT NULL THEN
        pages_are := pages_are || ' AND p.last_changed_at >= $8';
    END IF;
    IF pages_are <> '' THEN
        chunks_are := format(' AND (SELECT true%s FROM scraped_pages AS p WHERE p.id = e.page_id)', pages_are);
    END IF;
    IF p_source_ids IS NOT NULL THEN
        pages_are := pages_are || ' AND p.source_id = ANY ($5)';
        chunks_are := ' AND e.source_id = ANY ($5)' || chunks_are;
    END IF;
    IF p_languages IS NOT NULL THEN
        pages_are := pages_are || ' AND p.language = ANY ($6)';
        chunks_are := ' AND e.language = ANY ($6)' || chunks_are;
    END IF;
    p_path_prefix := regexp_replace(left(p_path_prefix, 256), '([\\%_])', '\\\1', 'g') || '%';
    IF pages_are <> '' THEN
        SELECT 50 * sqrt(greatest(e.reltuples, 10000)), greatest(p.reltuples, 1) / greatest(e.reltuples, 1)
        INTO few_chunks, pages_per_chunk
        FROM pg_class AS e, pg_class AS p
        WHERE e.oid = 'page_embeddings'::regclass
          AND p.oid = 'scraped_pages'::regclass;
        EXECUTE format(
            $query$
            SELECT CASE
                WHEN count(*) <= $4 AND sum(cardinality(f.chunk_hashes)) <= $3 THEN array_agg(f.id)
                WHEN count(*) = 0 THEN '{}'
            END
            FROM (SELECT p.id, p.chunk_hashes FROM scraped_pages AS p WHERE true%s LIMIT $4 + 1) AS f
            $query$,
            pages_are
        )
        INTO few
        USING
            NULL, NULL, few_chunks, ceil(few_chunks * pages_per_chunk)::integer, p_source_ids, p_languages,
            p_path_prefix, p_changed_since;
    END IF;

    IF few IS NOT NULL THEN
        chunks_are := ' AND e.page_id = ANY ($10)';
        kind := 'vector';
    ELSE
        kind := CASE
            WHEN pg_get_indexdef(to_regclass(format('page_embeddings_vector_%s_idx', model.id))) LIKE '%halfvec%'
                THEN format('halfvec(%s)', model.dimensions)
            ELSE format('vector(%s)', model.dimensions)
        END;
    END IF;

    asked := lcl_text_queries(coalesce(p_query, ''), 2000);
    SELECT coalesce(
        string_agg(
            format('%s * ts_rank(''{1,1,1,1}'', m.search, %L)', a.weight, lcl_lexeme_query(a.lexeme)), ' + '
        ),
        '0'
    )
    INTO relevance
    FROM unnest(asked.lexemes, asked.weights) AS a (lexeme, weight);

    RETURN QUERY EXECUTE format(
        $query$
        WITH nearest AS MATERIALIZED (
            SELECT e.id, e.page_id, e.embedding::%1$s <=> $2::%1$s AS distance
            FROM page_embeddings AS e
            WHERE e.model_id = %2$s
              AND $2 IS NOT NULL%3$s
            ORDER BY e.embedding::%1$s <=> $2::%1$s
            LIMIT $4
        ),
        complete AS MATERIALIZED (
            SELECT e.id, e.page_id, ts_filter(e.search, '{a,b,c,d}') AS search
            FROM page_embeddings AS e
            WHERE e.model_id = %2$s
              AND numnode($11) > 0
              AND e.search @@ $11%3$s
            LIMIT 2000
        ),
        partial AS MATERIALIZED (
            SELECT e.id, e.page_id, ts_filter(e.search, '{a,b,c,d}') AS search
            FROM page_embeddings AS e
            WHERE e.model_id = %2$s
              AND numnode($12) > 0
              AND e.search @@ $12%3$s
              AND NOT EXISTS (SELECT FROM complete AS c WHERE c.id = e.id)
            LIMIT (SELECT CASE WHEN count(*) < $4 THEN 2000 ELSE 0 END FROM complete)
        ),
        remote AS MATERIALIZED (
            SELECT e.id, e.page_id, ts_filter(e.search, '{a,b,c,d}') AS search
            FROM page_embeddings AS e
            WHERE e.model_id = %2$s
              AND numnode($13) > 0
              AND e.search @@ $13%3$s
              AND NOT EXISTS (SELECT FROM complete AS c WHERE c.id = e.id)
              AND NOT EXISTS (SELECT FROM partial AS c WHERE c.id = e.id)
            LIMIT (
                SELECT CASE WHEN count(*) < $3 THEN 2000 ELSE 0 END
                FROM (SELECT FROM complete UNION ALL SELECT FROM partial) AS c
            )
        ),
        matched AS MATERIALIZED (
            SELECT
                m.id, m.page_id, true AS is_complete, %4$s AS relevance,
                CASE WHEN m.search @@ $14 THEN length(ts_filter(m.search, '{a}')) END AS heading_length
            FROM complete AS m
            UNION ALL
            SELECT m.id, m.page_id, false, %4$s, NULL
            FROM (SELECT * FROM partial UNION ALL SELECT * FROM remote) AS m
        ),
        listed AS (
            SELECT 'vector' AS list, n.id, n.page_id, row_number() OVER (ORDER BY n.distance, n.id) AS place
            FROM nearest AS n
            WHERE numnode($15) = 0
               OR NOT (SELECT e.search @@ $15 FROM page_embeddings AS e WHERE e.id = n.id)
            UNION ALL
            (
                SELECT 'text', m.id, m.page_id, row_number() OVER (ORDER BY m.is_complete DESC, m.relevance DESC, m.id)
                FROM matched AS m
                ORDER BY m.is_complete DESC, m.relevance DESC, m.id
                LIMIT $4
            )
            UNION ALL
            (
                SELECT 'heading', m.id, m.page_id, row_number() OVER (ORDER BY m.heading_length, m.relevance DESC, m.id)
                FROM matched AS m
                WHERE m.heading_length IS NOT NULL
                ORDER BY m.heading_length, m.relevance DESC, m.id
                LIMIT $4
            )
        ),
        fused AS (
            SELECT
                r.page_id,
                sum(CASE r.list WHEN 'vector' THEN $17 ELSE 1 END / ($16 + r.rank)) AS score,
                min(r.rank) FILTER (WHERE r.list = 'vector') AS vector_rank,
                min(r.rank) FILTER (WHERE r.list = 'text') AS text_rank,
                min(r.rank) FILTER (WHERE r.list = 'heading') AS heading_rank
            FROM (
                SELECT l.list, l.page_id, row_number() OVER (PARTITION BY l.list ORDER BY min(l.place)) AS rank
                FROM listed AS l
                GROUP BY l.list, l.page_id
            ) AS r
            GROUP BY r.page_id
            ORDER BY score DESC, r.page_id
            LIMIT $3
        ),
        best AS (
            SELECT DISTINCT ON (l.page_id) l.page_id, l.id
            FROM listed AS l
            GROUP BY l.page_id, l.id
            ORDER BY l.page_id, sum(CASE l.list WHEN 'vector' THEN $17 ELSE 1 END / ($16 + l.place)) DESC, l.id
        ),
        shown AS MATERIALIZED (
            SELECT f.*, b.id AS chunk_id
            FROM fused AS f
            JOIN best AS b ON b.page_id = f.page_id
        )
        SELECT
            p.id, p.source_id, p.url, p.title, p.language, e.heading, e.content, s.score::double precision,
            s.vector_rank::integer, s.text_rank::integer, s.heading_rank::integer
        FROM shown AS s
        JOIN scraped_pages AS p ON p.id = s.page_id
        JOIN page_embeddings AS e ON e.id = s.chunk_id
        ORDER BY s.score DESC, p.id
        $query$,
        kind,
        model.id,
        chunks_are,
        relevance
    )
    USING
        p_query, p_embedding, p_limit, p_candidates, p_source_ids, p_languages, p_path_prefix, p_changed_since, NULL,
        few, asked.all_of_it, asked.telling, asked.any_word, asked.in_heading, asked.excluded, p_rrf_k,
        p_vector_weight;
END;
$$;
