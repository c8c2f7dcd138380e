"""`scrapy search` in a project of guests."""

from lcl_spiders.commands import search


class Command(search.Command):
    """Search by meaning and by words."""

    how_to_fill = "scrapy crawl <spider>"
