DROP FUNCTION search_pages(text, vector, integer, uuid, integer, integer);

DROP FUNCTION lcl_text_queries(text);
