"""Search for people and programs: what `scrapy search` and the HTTP API have in common, and the API itself."""
