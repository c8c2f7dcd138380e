-- Runs, and the fence that lets only the newest holder of a domain write.
-- depends: 0001.sources

CREATE TABLE scrape_jobs (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source_id     uuid NOT NULL REFERENCES scraper_sources ON DELETE CASCADE,
    trigger       text NOT NULL CHECK (trigger IN ('manual', 'queue', 'schedule', 'scrapyd')),
    status        text NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'skipped')),
    args          jsonb NOT NULL DEFAULT '{}',
    queued_at     timestamptz NOT NULL DEFAULT now(),
    started_at    timestamptz,
    completed_at  timestamptz,
    finish_reason text,
    error         text,
    stats         jsonb NOT NULL DEFAULT '{}',
    worker        text
);

CREATE INDEX scrape_jobs_source_idx ON scrape_jobs (source_id, queued_at DESC);

CREATE INDEX scrape_jobs_running_idx ON scrape_jobs (source_id) WHERE status = 'running';

CREATE TABLE domain_fences (
    domain      text PRIMARY KEY,
    fence       bigint NOT NULL,
    job_id      uuid,
    acquired_at timestamptz NOT NULL DEFAULT now()
);
