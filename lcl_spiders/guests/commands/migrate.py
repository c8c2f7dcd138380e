"""`scrapy migrate` in a project of guests."""

from lcl_spiders.commands import migrate


class Command(migrate.Command):
    """Bring the schema up to date, show it, or take migrations back."""
