-- The extension stays: other schemas of the same database may use it.
DROP TRIGGER reset_auto_disabled_on_enable_trigger ON scraper_sources;

DROP FUNCTION reset_auto_disabled_on_enable();

DROP FUNCTION apply_exponential_backoff(uuid, boolean);

DROP VIEW scraper_sources_available;

DROP TABLE scraper_sources;
