-- Without manifests nobody would know what the rows of the other models are of.
DELETE FROM page_embeddings
WHERE model_id IN (SELECT id FROM embedding_models WHERE state <> 'active');

DROP TABLE page_manifests;

DELETE FROM embedding_models
WHERE state <> 'active';

ALTER TABLE embedding_models
    DROP COLUMN base_url,
    DROP COLUMN api_key_env,
    DROP COLUMN asks_dimensions;
