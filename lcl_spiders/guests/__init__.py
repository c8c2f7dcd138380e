"""Spiders of other Scrapy projects, which the add-on puts an index behind: their items, their sources, their runs.

A guest is any spider that is not a `SourceSpider`. `docs/addon.md` is what is promised to its project.
"""
