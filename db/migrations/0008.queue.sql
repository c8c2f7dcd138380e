-- The queue of runs (Procrastinate, whose own migrations up to the last one named are taken from its package), and what
-- a run's record says of its place in it.
-- depends: 0007.refresh

-- include: procrastinate.sql.migrations 00.00.00_01 .. 03.04.00_50

-- Jobs of one lock run one after the other: without this, each look for a job reads all that wait.
CREATE INDEX procrastinate_jobs_lcl_lock_idx ON procrastinate_jobs (lock, priority DESC, id)
WHERE status IN ('todo', 'doing');

-- `queue_id` is the job in the queue, while there is one; `attempt` counts the runs that were made of one request;
-- `heard_at` is when a running job last wrote its counters.
ALTER TABLE scrape_jobs
    ADD COLUMN queue_id bigint,
    ADD COLUMN priority integer NOT NULL DEFAULT 0,
    ADD COLUMN attempt integer NOT NULL DEFAULT 1,
    ADD COLUMN heard_at timestamptz,
    ADD COLUMN cancel_requested boolean NOT NULL DEFAULT false;

CREATE INDEX scrape_jobs_queued_at_idx ON scrape_jobs (queued_at DESC);

CREATE INDEX scrape_jobs_open_idx ON scrape_jobs (source_id) WHERE status IN ('queued', 'running');

DROP INDEX scrape_jobs_running_idx;

-- What a refresh takes: available, without a success in its interval, a tenth of which is slack, so that a run that
-- ended at 02:07 is due at 02:00 the next day. A source that is queued or running already is due no second time;
-- neither is one whose worker died, for as long as its job is in the queue: it is made again from there.
CREATE VIEW scraper_sources_due AS
SELECT s.*
FROM scraper_sources_available AS s
WHERE (s.last_success_at IS NULL OR s.last_success_at + s.refresh_interval * 0.9 <= now())
  AND NOT EXISTS (
      SELECT FROM scrape_jobs AS j
      WHERE j.source_id = s.id
        AND j.status IN ('queued', 'running')
  )
  AND NOT EXISTS (
      SELECT FROM procrastinate_jobs AS q
      WHERE q.queueing_lock = s.id::text
        AND q.status IN ('todo', 'doing')
  );
