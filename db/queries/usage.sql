-- What embedding costs, by day (UTC, by the database's clock) and model.

-- model_id --
SELECT id
FROM embedding_models
WHERE provider = %(provider)s
  AND name = %(name)s
  AND dimensions = %(dimensions)s
ORDER BY state = 'active' DESC, state = 'building' DESC, id DESC
LIMIT 1

-- reserve --
SELECT granted, usage_day, spent, taken, (usage_day + 1)::timestamp AT TIME ZONE 'UTC'
FROM reserve_tokens(%(model_id)s, %(tokens)s, %(limit)s)

-- add --
INSERT INTO embedding_usage AS u (day, model_id, requests, texts, tokens, batched)
VALUES (
    coalesce(%(day)s, (now() AT TIME ZONE 'UTC')::date), %(model_id)s, %(requests)s, %(texts)s, %(tokens)s, %(batched)s
)
ON CONFLICT (day, model_id) DO UPDATE
SET requests = u.requests + EXCLUDED.requests,
    texts = u.texts + EXCLUDED.texts,
    tokens = u.tokens + EXCLUDED.tokens,
    batched = u.batched + EXCLUDED.batched,
    reserved = greatest(0, u.reserved - %(reserved)s)

-- by_day --
WITH spent AS (
    SELECT
        day,
        sum(requests)::bigint AS requests,
        sum(texts)::bigint AS texts,
        sum(tokens)::bigint AS tokens,
        sum(batched)::bigint AS batched,
        sum(reserved)::bigint AS reserved
    FROM embedding_usage
    GROUP BY day
),
spared AS (
    SELECT
        (j.completed_at AT TIME ZONE 'UTC')::date AS day,
        sum(c.value::numeric)::bigint AS saved
    FROM (
        SELECT completed_at, stats
        FROM scrape_jobs
        WHERE status IN ('succeeded', 'failed')
          AND stats <> '{}'
        ORDER BY queued_at DESC
        LIMIT %(runs)s
    ) AS j
    CROSS JOIN LATERAL jsonb_each(j.stats) AS c
    WHERE j.completed_at IS NOT NULL
      AND c.key = ANY (%(saved)s)
      AND jsonb_typeof(c.value) = 'number'
    GROUP BY 1
)
SELECT
    day,
    coalesce(u.requests, 0) AS requests,
    coalesce(u.texts, 0) AS texts,
    coalesce(u.tokens, 0) AS tokens,
    coalesce(u.batched, 0) AS batched,
    coalesce(u.reserved, 0) AS reserved,
    coalesce(v.saved, 0) AS saved
FROM spent AS u
FULL JOIN spared AS v USING (day)
ORDER BY day DESC
