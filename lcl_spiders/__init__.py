"""What is crawled, and how a crawl is run."""
