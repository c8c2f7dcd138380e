DROP TABLE domain_fences;

DROP TABLE scrape_jobs;
