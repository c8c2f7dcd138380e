"""`scrapy doctor` in a project of guests."""

from lcl_spiders.commands import doctor


class Command(doctor.Command):
    """Check settings, database, provider and index."""
