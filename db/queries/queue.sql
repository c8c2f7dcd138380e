-- The queue of runs: Procrastinate's jobs, and the rows of `scrape_jobs` that they carry out.

-- one_at_a_time --
SELECT pg_advisory_xact_lock(hashtextextended('lcl-queue', 0))

-- due --
SELECT id FROM scraper_sources_due ORDER BY priority DESC, last_success_at NULLS FIRST, slug

-- available --
SELECT
    s.id,
    s.slug,
    s.enabled AND NOT s.auto_disabled AS is_enabled,
    CASE WHEN s.backoff_until > now() THEN s.backoff_until END AS waits_until
FROM scraper_sources AS s
WHERE s.id = ANY (%(source_ids)s)

-- queueable --
-- Sources without a job in the queue, in the order in which they were asked for. A run that is made again asks while
-- its own job, `besides`, is still there.
SELECT
    s.id,
    s.domain,
    coalesce(%(priority)s::integer, s.priority) AS priority
FROM unnest(%(source_ids)s::uuid[]) WITH ORDINALITY AS w (id, place)
JOIN scraper_sources AS s ON s.id = w.id
WHERE NOT EXISTS (
    SELECT FROM procrastinate_jobs AS q
    WHERE q.queueing_lock = s.id::text
      AND q.status IN ('todo', 'doing')
      AND q.id IS DISTINCT FROM %(besides)s::bigint
)
ORDER BY w.place

-- insert_jobs --
INSERT INTO scrape_jobs (id, source_id, trigger, status, args, priority, attempt)
SELECT w.id, w.source_id, %(trigger)s, 'queued', %(args)s, w.priority, %(attempt)s
FROM unnest(%(ids)s::uuid[], %(source_ids)s::uuid[], %(priorities)s::integer[]) AS w (id, source_id, priority)

-- note_places --
UPDATE scrape_jobs AS j
SET queue_id = w.queue_id
FROM unnest(%(ids)s::uuid[], %(queue_ids)s::bigint[]) AS w (id, queue_id)
WHERE j.id = w.id

-- request --
SELECT j.id, j.source_id, j.trigger, j.args, j.priority, j.attempt, j.queue_id, s.slug
FROM scrape_jobs AS j
JOIN scraper_sources AS s ON s.id = j.source_id
WHERE j.id = %(job_id)s

-- has_place --
-- Whether a run that a worker took still has its place in the queue: a process that took the worker for dead takes it.
SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE id = %(queue_id)s AND status = 'doing')

-- waiting --
SELECT count(*) FROM procrastinate_jobs WHERE queue_name = %(queue)s AND status = 'todo'

-- is_drained --
-- A job that is still there although its run has ended is about to go, or to be made again.
SELECT NOT EXISTS (
    SELECT FROM procrastinate_jobs AS q
    WHERE q.queue_name = %(queue)s
      AND (
          q.status = 'todo'
          OR (
              q.status = 'doing'
              AND EXISTS (
                  SELECT FROM scrape_jobs AS j
                  WHERE j.id = (q.args ->> 'job_id')::uuid
                    AND j.completed_at IS NOT NULL
              )
          )
      )
)

-- waiting_now --
SELECT count(*)
FROM procrastinate_jobs
WHERE queue_name = %(queue)s
  AND status = 'todo'
  AND (scheduled_at IS NULL OR scheduled_at <= now())

-- take_orphans --
-- Jobs of workers that have not been heard of, jobs whose run has ended while they stayed, and runs that wait for a job
-- which is not there. A run whose lock is still held stays: its job is what it is made again by. Returns those that are
-- to be made again: what ended for one of the `reasons` had a worker that could not see to it. (A job names its run by
-- the key of `scrape_jobs`; the other way there is no index.)
WITH dead AS (
    DELETE FROM procrastinate_jobs AS q
    WHERE q.queue_name = %(queue)s
      AND q.status = 'doing'
      AND (
          NOT EXISTS (
              SELECT FROM procrastinate_workers AS w
              WHERE w.id = q.worker_id
                AND w.last_heartbeat > now() - %(silence)s::interval
          )
          OR EXISTS (
              SELECT FROM scrape_jobs AS j
              WHERE j.id = (q.args ->> 'job_id')::uuid
                AND j.completed_at < now() - interval '1 minute'
          )
      )
      AND NOT EXISTS (
          SELECT FROM scrape_jobs AS j
          WHERE j.id = (q.args ->> 'job_id')::uuid
            AND j.status = 'running'
      )
    RETURNING (q.args ->> 'job_id')::uuid AS id
), orphans AS (
    SELECT id FROM dead
    UNION
    SELECT j.id
    FROM scrape_jobs AS j
    WHERE j.status = 'queued'
      AND NOT EXISTS (SELECT FROM procrastinate_jobs AS q WHERE q.id = j.queue_id)
), never_begun AS (
    UPDATE scrape_jobs AS j
    SET status = CASE WHEN j.cancel_requested THEN 'skipped' ELSE 'failed' END,
        finish_reason = CASE WHEN j.cancel_requested THEN 'cancelled' ELSE 'lost' END,
        completed_at = now(),
        error = 'the worker that took this job died before it began; nothing was done'
    FROM orphans AS o
    WHERE j.id = o.id
      AND j.status = 'queued'
    RETURNING j.id
)
SELECT j.id
FROM orphans AS o
JOIN scrape_jobs AS j ON j.id = o.id
WHERE NOT j.cancel_requested
  AND (j.id IN (SELECT id FROM never_begun) OR j.finish_reason = ANY (%(reasons)s::text[]))

-- revive_schedule --
-- The schedule's own jobs bear repetition: what is due is queued once.
UPDATE procrastinate_jobs AS q
SET status = 'todo'
WHERE q.queue_name = %(schedule)s
  AND q.status = 'doing'
  AND NOT EXISTS (
      SELECT FROM procrastinate_workers AS w
      WHERE w.id = q.worker_id
        AND w.last_heartbeat > now() - %(silence)s::interval
  )

-- only_lost --
-- Whether the newest runs of a source were all lost with their process.
SELECT count(*) = %(runs)s AND bool_and(finish_reason = 'lost')
FROM (
    SELECT finish_reason
    FROM scrape_jobs
    WHERE source_id = %(source_id)s
    ORDER BY queued_at DESC
    LIMIT %(runs)s
) AS newest

-- cancel_queued --
WITH taken AS (
    DELETE FROM procrastinate_jobs AS q
    USING scrape_jobs AS j
    WHERE j.id = ANY (%(job_ids)s)
      AND j.status = 'queued'
      AND q.id = j.queue_id
      AND q.status = 'todo'
    RETURNING j.id
)
UPDATE scrape_jobs AS j
SET status = 'skipped', completed_at = now(), finish_reason = 'cancelled', error = 'cancelled before it began'
FROM taken
WHERE j.id = taken.id
RETURNING j.id

-- cancel_running --
UPDATE scrape_jobs
SET cancel_requested = true
WHERE id = ANY (%(job_ids)s)
  AND status IN ('queued', 'running')
RETURNING id

-- open_jobs --
SELECT id
FROM scrape_jobs
WHERE status IN ('queued', 'running')
  AND (%(source_id)s::uuid IS NULL OR source_id = %(source_id)s)

-- failed_sources --
-- Sources whose newest run failed.
SELECT s.id
FROM scraper_sources AS s
CROSS JOIN LATERAL (
    SELECT j.status
    FROM scrape_jobs AS j
    WHERE j.source_id = s.id
    ORDER BY j.queued_at DESC
    LIMIT 1
) AS newest
WHERE newest.status = 'failed'
ORDER BY s.slug

-- open_sources --
-- Sources that the queue has something to do for already.
SELECT s.id
FROM scraper_sources AS s
WHERE s.id IN (SELECT source_id FROM scrape_jobs WHERE status IN ('queued', 'running') AND queue_id IS NOT NULL)
   OR s.id::text IN (
       SELECT queueing_lock FROM procrastinate_jobs WHERE queue_name = %(queue)s AND status IN ('todo', 'doing')
   )

-- outcomes --
-- The newest run of each source that the queue has made since a time: what became of what was asked for.
SELECT DISTINCT ON (j.source_id)
    s.slug,
    j.id,
    j.status,
    j.finish_reason,
    j.error,
    j.attempt,
    j.stats
FROM scrape_jobs AS j
JOIN scraper_sources AS s ON s.id = j.source_id
WHERE j.source_id = ANY (%(source_ids)s)
  AND j.queue_id IS NOT NULL
  AND (j.queued_at >= %(since)s OR j.completed_at >= %(since)s OR j.status IN ('queued', 'running'))
ORDER BY j.source_id, j.queued_at DESC

-- queued_among --
SELECT count(*)
FROM scrape_jobs
WHERE status = 'queued'
  AND source_id = ANY (%(source_ids)s)

-- is_in_queue --
-- A run that ended may be about to be queued again for as long as its job is there.
SELECT EXISTS (
    SELECT FROM procrastinate_jobs
    WHERE queue_name = %(queue)s
      AND status IN ('todo', 'doing')
      AND queueing_lock = ANY (%(source_ids)s::text[])
)

-- running --
SELECT j.id, s.slug, j.trigger, j.worker, j.started_at, j.heard_at, j.stats
FROM scrape_jobs AS j
JOIN scraper_sources AS s ON s.id = j.source_id
WHERE j.status = 'running'
  AND (
      %(source_ids)s::uuid[] IS NULL
      OR (j.queue_id IS NOT NULL AND j.source_id = ANY (%(source_ids)s))
  )
ORDER BY j.started_at

-- free_connections --
SELECT
    current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
    - coalesce(nullif(current_setting('reserved_connections', TRUE), ''), '0')::integer
    - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
