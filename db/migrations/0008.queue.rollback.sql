DROP VIEW scraper_sources_due;

CREATE INDEX scrape_jobs_running_idx ON scrape_jobs (source_id) WHERE status = 'running';

DROP INDEX scrape_jobs_open_idx;

DROP INDEX scrape_jobs_queued_at_idx;

ALTER TABLE scrape_jobs
    DROP COLUMN queue_id,
    DROP COLUMN priority,
    DROP COLUMN attempt,
    DROP COLUMN heard_at,
    DROP COLUMN cancel_requested;

DROP TABLE procrastinate_events, procrastinate_periodic_defers, procrastinate_jobs, procrastinate_workers CASCADE;

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT oid::regprocedure
        FROM pg_proc
        WHERE proname LIKE 'procrastinate\_%' AND pronamespace = current_schema()::regnamespace
    LOOP
        EXECUTE 'DROP FUNCTION ' || name;
    END LOOP;
END;
$$;

DROP TYPE procrastinate_job_to_defer_v1;

DROP TYPE procrastinate_job_status;

DROP TYPE procrastinate_job_event_type;
