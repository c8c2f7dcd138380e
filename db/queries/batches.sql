-- Batches of texts at a provider's. %i includes the statement of that name.

-- batch --
b.id, b.model_id, b.key::text, b.remote_id, b.input_file_id, b.output_file_id, b.error_file_id, b.state, b.texts,
b.completed, b.failed, b.tokens, b.day, b.reserved, b.created_at, b.submitted_at, b.completed_at, b.settled_at, b.error

-- free_models --
SELECT DISTINCT t.model_id
FROM pending_texts AS t
JOIN embedding_models AS m ON m.id = t.model_id
WHERE m.state <> 'retired'
  AND t.batch_id IS NULL
  AND t.embedding IS NULL
  AND t.refusal IS NULL
ORDER BY t.model_id

-- choose --
SELECT c.chunk_hash, c.tokens
FROM (
    SELECT
        t.chunk_hash, t.created_at,
        octet_length(t.text) / 3 + 1 AS tokens,
        sum(octet_length(t.text)) OVER (ORDER BY t.created_at, t.chunk_hash) AS bytes_so_far
    FROM (
        SELECT chunk_hash, created_at, text
        FROM pending_texts
        WHERE model_id = %(model_id)s
          AND batch_id IS NULL
          AND embedding IS NULL
          AND refusal IS NULL
        ORDER BY created_at, chunk_hash
        LIMIT %(texts)s
        FOR UPDATE
    ) AS t
) AS c
WHERE c.bytes_so_far <= %(bytes)s
ORDER BY c.created_at, c.chunk_hash

-- open_batch --
INSERT INTO embedding_batches (model_id, texts, day, reserved)
VALUES (%(model_id)s, %(texts)s, coalesce(%(day)s, (now() AT TIME ZONE 'UTC')::date), %(reserved)s)
RETURNING id

-- claim --
UPDATE pending_texts
SET batch_id = %(batch_id)s,
    attempts = attempts + 1
WHERE model_id = %(model_id)s
  AND chunk_hash = ANY (%(chunk_hashes)s)

-- texts_of --
SELECT chunk_hash, text
FROM pending_texts
WHERE batch_id = %(batch_id)s
  AND embedding IS NULL
  AND refusal IS NULL
  AND chunk_hash > %(after)s
ORDER BY chunk_hash
LIMIT %(limit)s

-- note_file --
UPDATE embedding_batches
SET input_file_id = %(file_id)s
WHERE id = %(id)s

-- note_remote --
UPDATE embedding_batches
SET remote_id = %(remote_id)s,
    input_file_id = %(input_file_id)s,
    output_file_id = %(output_file_id)s,
    error_file_id = %(error_file_id)s,
    state = %(state)s,
    completed = %(completed)s,
    failed = %(failed)s,
    error = coalesce(%(error)s, error),
    submitted_at = coalesce(submitted_at, now()),
    completed_at = coalesce(completed_at, %(completed_at)s)
WHERE id = %(id)s

-- take_vectors --
WITH answer AS (
    SELECT DISTINCT ON (u.chunk_hash) u.*
    FROM unnest(%(chunk_hashes)s::bytea[], %(embeddings)s::vector[], %(token_counts)s::integer[])
        AS u (chunk_hash, embedding, token_count)
),
taken AS (
    UPDATE pending_texts AS t
    SET embedding = a.embedding,
        token_count = a.token_count
    FROM answer AS a
    WHERE t.batch_id = %(id)s
      AND t.chunk_hash = a.chunk_hash
      AND t.embedding IS NULL
      AND t.refusal IS NULL
    RETURNING t.token_count
)
SELECT count(*), coalesce(sum(token_count), 0)
FROM taken

-- take_refusals --
WITH answer AS (
    SELECT DISTINCT ON (u.chunk_hash) u.*
    FROM unnest(
        %(chunk_hashes)s::bytea[], %(kinds)s::text[], %(refusals)s::text[], %(token_counts)s::integer[]
    ) AS u (chunk_hash, kind, refusal, token_count)
),
taken AS (
    UPDATE pending_texts AS t
    SET kind = a.kind,
        refusal = a.refusal,
        token_count = a.token_count
    FROM answer AS a
    WHERE t.batch_id = %(id)s
      AND t.chunk_hash = a.chunk_hash
      AND t.embedding IS NULL
      AND t.refusal IS NULL
    RETURNING t.token_count
)
SELECT count(*), coalesce(sum(token_count), 0)
FROM taken

-- count_tokens --
UPDATE embedding_batches
SET tokens = tokens + %(tokens)s
WHERE id = %(id)s

-- give_up_texts --
UPDATE pending_texts
SET kind = 'embedding_refused',
    refusal = %(refusal)s
WHERE batch_id = %(id)s
  AND embedding IS NULL
  AND refusal IS NULL
  AND attempts >= %(attempts)s

-- free_texts --
UPDATE pending_texts
SET batch_id = NULL,
    attempts = attempts - %(untried)s
WHERE batch_id = %(id)s
  AND embedding IS NULL
  AND refusal IS NULL

-- settle --
UPDATE embedding_batches
SET settled_at = now(),
    reserved = 0,
    state = %(state)s,
    error = coalesce(%(error)s, error)
WHERE id = %(id)s
  AND settled_at IS NULL

-- open --
SELECT
    %(batch)i
FROM embedding_batches AS b
WHERE b.settled_at IS NULL
ORDER BY b.id

-- recent --
SELECT
    %(batch)i
FROM embedding_batches AS b
ORDER BY b.settled_at IS NOT NULL, b.id DESC
LIMIT %(limit)s
