"""`scrapy reembed` in a project of guests."""

from lcl_spiders.commands import reembed


class Command(reembed.Command):
    """Build another model beside the active one, switch to it, free what is no longer used."""
