"""`scrapy status` in a project of guests."""

from lcl_spiders.commands import status


class Command(status.Command):
    """Show sources, runs and failed pages."""

    how_to_begin = "A spider's first crawl adds its own: scrapy crawl <spider>"
