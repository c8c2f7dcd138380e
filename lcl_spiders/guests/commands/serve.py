"""`scrapy serve` in a project of guests."""

from lcl_spiders.commands import serve


class Command(serve.Command):
    """Answer searches over HTTP."""
