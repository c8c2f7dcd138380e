"""`scrapy batches` in a project of guests."""

from lcl_spiders.commands import batches


class Command(batches.Command):
    """Submit, poll, apply, list and cancel batches."""
