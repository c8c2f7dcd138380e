-- Embedding models and their states.

-- model --
id, provider, name, dimensions, chunker_version, state, base_url, api_key_env, asks_dimensions

-- every --
SELECT %(model)i
FROM embedding_models
ORDER BY id

-- make_first --
INSERT INTO embedding_models (provider, name, dimensions, chunker_version, state, asks_dimensions)
SELECT %(provider)s, %(name)s, %(dimensions)s, %(chunker_version)s, 'active', %(asks_dimensions)s
WHERE NOT EXISTS (SELECT FROM embedding_models WHERE state = 'active')
ON CONFLICT DO NOTHING

-- build --
INSERT INTO embedding_models AS m (
    provider, name, dimensions, chunker_version, state, base_url, api_key_env, asks_dimensions
)
VALUES (
    %(provider)s, %(name)s, %(dimensions)s, %(chunker_version)s, 'building', %(base_url)s, %(api_key_env)s,
    %(asks_dimensions)s
)
ON CONFLICT (provider, name, dimensions, chunker_version) DO UPDATE
SET state = CASE m.state WHEN 'retired' THEN 'building' ELSE m.state END,
    base_url = EXCLUDED.base_url,
    api_key_env = EXCLUDED.api_key_env,
    asks_dimensions = EXCLUDED.asks_dimensions
RETURNING %(model)i

-- retire --
UPDATE embedding_models
SET state = 'retired'
WHERE id = %(id)s
  AND state <> 'active'
RETURNING id
