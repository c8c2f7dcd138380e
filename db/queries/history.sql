-- What is known from runs that have ended, and how their records are thinned.

-- counts_for_yield --
-- A run that was to see all of its source, and did. Re-embeddings count a page that was checked lately twice.
(
    j.status = 'succeeded'
    AND j.finish_reason IS DISTINCT FROM 'max_pages'
    AND j.args ->> 'max_pages' IS NULL
    AND NOT j.args @> '{"reembed": true}'
)

-- came_to_the_site --
(j.status = 'succeeded' OR (j.status = 'failed' AND j.finish_reason = ANY (%(reasons_of_sites)s::text[])))

-- is_new_beginning --
(j.status = 'succeeded' AND j.args @> '{"allow_mass_delete": true}')

-- usual_yield --
SELECT avg(run.present)::float8
FROM (
    SELECT (
        SELECT coalesce(sum(c.value::numeric), 0)
        FROM jsonb_each(j.stats) AS c
        WHERE c.key = ANY (%(present)s)
    ) AS present
    FROM scrape_jobs AS j
    WHERE j.source_id = %(source_id)s
      AND %(counts_for_yield)i
      AND j.queued_at >= coalesce(
          (SELECT max(j.queued_at) FROM scrape_jobs AS j WHERE j.source_id = %(source_id)s AND %(is_new_beginning)i),
          '-infinity'
      )
    ORDER BY j.queued_at DESC
    LIMIT %(runs)s
) AS run

-- may_thin --
SELECT pg_try_advisory_xact_lock(hashtextextended('lcl-thinning', 0))

-- thin --
-- Deletes, of the next sources that have records older than `keep`, those which nothing asks for any more: not the
-- newest of a source, nor those that its usual yield or its emptiness (A21) is told from. Says how many went, how many
-- sources those were, and which was the last.
WITH batch AS (
    SELECT DISTINCT source_id
    FROM scrape_jobs
    WHERE source_id > %(after)s
      AND queued_at < now() - %(keep)s::interval
    ORDER BY source_id
    LIMIT %(batch)s
), counted AS (
    SELECT
        j.id,
        j.status IN ('succeeded', 'failed', 'skipped') AND j.queued_at < now() - %(keep)s::interval AS is_old,
        row_number() OVER newest_first <= %(newest)s AS is_new,
        %(counts_for_yield)i
            AND count(*) FILTER (WHERE %(counts_for_yield)i) OVER newest_first <= %(yield_runs)s AS is_for_yield,
        %(came_to_the_site)i
            AND count(*) FILTER (WHERE %(came_to_the_site)i) OVER newest_first <= %(empty_runs)s AS is_for_emptiness,
        %(is_new_beginning)i
            AND count(*) FILTER (WHERE %(is_new_beginning)i) OVER newest_first = 1 AS is_newest_beginning
    FROM scrape_jobs AS j
    WHERE j.source_id IN (SELECT source_id FROM batch)
    WINDOW newest_first AS (PARTITION BY j.source_id ORDER BY j.queued_at DESC, j.id)
), gone AS (
    DELETE FROM scrape_jobs AS j
    USING counted AS c
    WHERE j.id = c.id
      AND c.is_old
      AND NOT (c.is_new OR c.is_for_yield OR c.is_for_emptiness OR c.is_newest_beginning)
    RETURNING j.id
)
SELECT
    (SELECT count(*) FROM gone),
    (SELECT count(*) FROM batch),
    (SELECT source_id FROM batch ORDER BY source_id DESC LIMIT 1)
