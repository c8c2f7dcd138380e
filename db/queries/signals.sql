-- The record of each source's signals: what it has earned, and where it lied.

-- of_source --
SELECT signal, agreed_runs, revoked_at, lies, last_lie_url
FROM source_signals
WHERE source_id = %(source_id)s

-- record --
INSERT INTO source_signals AS s (source_id, signal, agreed_runs, lies, revoked_at, last_lie_url)
SELECT
    %(source_id)s, u.signal, CASE WHEN u.lie_url IS NULL THEN 1 ELSE 0 END,
    CASE WHEN u.lie_url IS NULL THEN 0 ELSE 1 END, CASE WHEN u.lie_url IS NOT NULL THEN now() END, u.lie_url
FROM unnest(%(signals)s::text[], %(lie_urls)s::text[]) AS u (signal, lie_url)
ON CONFLICT (source_id, signal) DO UPDATE
SET agreed_runs = CASE WHEN EXCLUDED.lies > 0 THEN 0 ELSE s.agreed_runs + EXCLUDED.agreed_runs END,
    lies = s.lies + EXCLUDED.lies,
    revoked_at = coalesce(EXCLUDED.revoked_at, s.revoked_at),
    last_lie_url = coalesce(EXCLUDED.last_lie_url, s.last_lie_url)
