"""What `scrapy reembed` does and shows, between the operator and `pipelines.reembedding`."""
