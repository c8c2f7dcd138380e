CREATE OR REPLACE FUNCTION bulk_upsert_scraped_pages(
    p_source_id      uuid,
    p_urls           text[],
    p_titles         text[],
    p_languages      text[],
    p_contents       text[],
    p_content_hashes bytea[],
    p_body_hashes    bytea[],
    p_etags          text[],
    p_last_modifieds text[],
    p_outlinks       text[],
    p_outlink_counts integer[],
    p_chunk_hashes   bytea[],
    p_chunk_counts   integer[],
    p_structured     jsonb[],
    p_seen_ats       timestamptz[]
)
RETURNS TABLE (page_id bigint, url text, inserted boolean)
LANGUAGE sql
AS $$
    INSERT INTO scraped_pages AS s (
        source_id, url, title, language, content, content_hash, body_hash, etag, last_modified,
        outlinks, chunk_hashes, structured, last_seen_at
    )
    SELECT
        p_source_id, p.url, p.title, p.language, p.content, p.content_hash, p.body_hash, p.etag, p.last_modified,
        p_outlinks[p.outlinks_end - p.outlink_count + 1 : p.outlinks_end],
        p_chunk_hashes[p.chunks_end - p.chunk_count + 1 : p.chunks_end],
        p.structured,
        coalesce(p.seen_at, now())
    FROM (
        SELECT
            u.*,
            sum(u.outlink_count) OVER (ORDER BY u.position)::integer AS outlinks_end,
            sum(u.chunk_count) OVER (ORDER BY u.position)::integer AS chunks_end
        FROM unnest(
            p_urls, p_titles, p_languages, p_contents, p_content_hashes, p_body_hashes, p_etags, p_last_modifieds,
            p_outlink_counts, p_chunk_counts, p_structured, p_seen_ats
        ) WITH ORDINALITY AS u (
            url, title, language, content, content_hash, body_hash, etag, last_modified,
            outlink_count, chunk_count, structured, seen_at, position
        )
    ) AS p
    ORDER BY p.url
    ON CONFLICT (source_id, url) DO UPDATE
    SET title = EXCLUDED.title,
        language = EXCLUDED.language,
        content = EXCLUDED.content,
        content_hash = EXCLUDED.content_hash,
        body_hash = EXCLUDED.body_hash,
        etag = EXCLUDED.etag,
        last_modified = EXCLUDED.last_modified,
        outlinks = EXCLUDED.outlinks,
        chunk_hashes = EXCLUDED.chunk_hashes,
        duplicate_of = NULL,
        structured = EXCLUDED.structured,
        last_seen_at = EXCLUDED.last_seen_at,
        last_changed_at = CASE
            WHEN s.content_hash = EXCLUDED.content_hash THEN s.last_changed_at
            ELSE now()
        END
    RETURNING s.id, s.url, s.xmax = 0;
$$;

DROP TABLE source_boilerplate, page_samples;

ALTER TABLE page_checks
    DROP COLUMN evidence,
    DROP COLUMN kind;
