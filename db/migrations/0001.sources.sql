-- Sources of pages: what is crawled, how often, and how its failures are remembered.
-- depends:

CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE scraper_sources (
    id                   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    slug                 text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$'),
    start_url            text NOT NULL UNIQUE,
    domain               text NOT NULL,
    spider               text NOT NULL DEFAULT 'website',
    config               jsonb NOT NULL DEFAULT '{}',
    enabled              boolean NOT NULL DEFAULT true,
    auto_disabled        boolean NOT NULL DEFAULT false,
    confidence           real CHECK (confidence BETWEEN 0 AND 1),
    discovery            jsonb,
    politeness           jsonb,
    priority             integer NOT NULL DEFAULT 0,
    consecutive_failures integer NOT NULL DEFAULT 0 CHECK (consecutive_failures >= 0),
    backoff_level        integer NOT NULL DEFAULT 0 CHECK (backoff_level BETWEEN 0 AND 5),
    backoff_until        timestamptz,
    refresh_interval     interval NOT NULL DEFAULT '24 hours' CHECK (refresh_interval > interval '0'),
    last_run_at          timestamptz,
    last_success_at      timestamptz,
    created_at           timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX scraper_sources_domain_idx ON scraper_sources (domain);

CREATE VIEW scraper_sources_available AS
SELECT *
FROM scraper_sources
WHERE enabled
  AND NOT auto_disabled
  AND (backoff_until IS NULL OR backoff_until <= now());

-- No backoff before the third failure in a row, then 2, 4, 8, 16, 32 hours: one level for each further failure.
CREATE FUNCTION apply_exponential_backoff(source_id uuid, success boolean)
RETURNS timestamptz
LANGUAGE sql
AS $$
    UPDATE scraper_sources AS s
    SET consecutive_failures = CASE WHEN success THEN 0 ELSE s.consecutive_failures + 1 END,
        backoff_level = CASE WHEN success THEN 0 ELSE least(greatest(s.consecutive_failures - 1, 0), 5) END,
        backoff_until = CASE
            WHEN success OR s.consecutive_failures < 2 THEN NULL
            ELSE now() + interval '1 hour' * power(2, least(s.consecutive_failures - 1, 5))
        END
    WHERE s.id = apply_exponential_backoff.source_id
    RETURNING s.backoff_until;
$$;

CREATE FUNCTION reset_auto_disabled_on_enable()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    NEW.auto_disabled := false;
    NEW.consecutive_failures := 0;
    NEW.backoff_level := 0;
    NEW.backoff_until := NULL;
    RETURN NEW;
END;
$$;

-- Fires whenever an UPDATE names the column, also when the source was enabled before: enabling is an operator's reset.
CREATE TRIGGER reset_auto_disabled_on_enable_trigger
BEFORE UPDATE OF enabled ON scraper_sources
FOR EACH ROW
WHEN (NEW.enabled)
EXECUTE FUNCTION reset_auto_disabled_on_enable();
