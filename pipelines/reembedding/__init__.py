"""Moving the index to another model without a crawl (C8): what it will cost, building it, switching to it."""
