DROP FUNCTION bulk_insert_embeddings(
    integer, uuid, bigint[], text[], integer[], bytea[], text[], text[], integer[], vector[]
);

DROP FUNCTION bulk_upsert_scraped_pages(
    uuid, text[], text[], text[], text[], bytea[], bytea[], text[], text[], text[], integer[], bytea[], integer[],
    jsonb[], timestamptz[]
);

DROP TABLE indexed_languages;
