DROP FUNCTION is_page_due(timestamptz, timestamptz, timestamptz, timestamptz, interval);
DROP FUNCTION next_check_interval(interval, boolean, interval, interval);
DROP INDEX scraped_pages_content_idx;
ALTER TABLE source_signals
    DROP COLUMN lies,
    DROP COLUMN last_lie_url;
ALTER TABLE page_checks
    DROP COLUMN fetched_at,
    DROP COLUMN sitemap_lastmod,
    DROP COLUMN reader,
    DROP COLUMN body_bytes,
    DROP COLUMN chunks,
    DROP COLUMN tokens;
