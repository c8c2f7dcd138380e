-- What a refresh remembers of each page's checks and of each signal's record, and how it finds twins.
-- depends: 0006.events

-- `checks_since_fetch` counts checks that rested on a signal; it begins at an offset of the page's own, so that audits
-- are spread. `fetched_at`, `sitemap_lastmod` and `reader` (the version of what read the page) are those of the last
-- download; `body_bytes`, `chunks` and `tokens` say what it saves not to download, cut and embed the page.
ALTER TABLE page_checks
    ADD COLUMN fetched_at timestamptz,
    ADD COLUMN sitemap_lastmod text,
    ADD COLUMN reader text,
    ADD COLUMN body_bytes integer NOT NULL DEFAULT 0,
    ADD COLUMN chunks integer NOT NULL DEFAULT 0,
    ADD COLUMN tokens integer NOT NULL DEFAULT 0;

ALTER TABLE source_signals
    ADD COLUMN lies integer NOT NULL DEFAULT 0,
    ADD COLUMN last_lie_url text;

-- Twins are looked up by their text whenever a page is written. The hash changes with the text only, so that marking a
-- page as seen stays a HOT update.
CREATE INDEX scraped_pages_content_idx ON scraped_pages (source_id, content_hash);

-- Nutch's AdaptiveFetchSchedule, with its default rates: a page that changed is checked sooner, one that did not later.
CREATE FUNCTION next_check_interval(previous interval, changed boolean, shortest interval, longest interval)
RETURNS interval
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT CASE
        WHEN previous IS NULL THEN shortest
        ELSE greatest(shortest, least(longest, previous * CASE WHEN changed THEN 0.8 ELSE 1.4 END))
    END;
$$;

-- Whether a run asks for a page: not when it was seen after `seen_before`, nor when its next check, which is never
-- later than `longest` after it was seen, comes after `due_by` (NULL: a run that asks for all). A next check at
-- -infinity is due whatever else holds: what it was judged by has lied. So is a page seen in the future, by a wrong
-- clock.
CREATE FUNCTION is_page_due(
    last_seen_at timestamptz, next_check_at timestamptz, seen_before timestamptz, due_by timestamptz, longest interval
)
RETURNS boolean
LANGUAGE sql
STABLE
AS $$
    SELECT coalesce(next_check_at = '-infinity', false)
        OR last_seen_at > now()
        OR (
            last_seen_at <= seen_before
            AND (due_by IS NULL OR next_check_at IS NULL OR least(next_check_at, last_seen_at + longest) <= due_by)
        );
$$;
