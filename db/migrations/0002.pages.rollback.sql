DROP TABLE page_tombstones;

DROP TABLE failed_pages;

DROP TABLE source_signals;

DROP TABLE page_embeddings;

DROP FUNCTION lcl_text_config(text);

DROP TABLE page_checks;

DROP TABLE scraped_pages;

DROP TABLE embedding_models;
