DROP FUNCTION awaits_no_text(integer, bytea[]);

DROP TABLE pending_pages, pending_texts, embedding_batches;

CREATE OR REPLACE VIEW scraper_sources_due AS
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

DROP FUNCTION reserve_tokens(integer, bigint, bigint);

DROP TABLE embedding_usage;
