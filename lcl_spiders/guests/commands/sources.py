"""`scrapy sources` in a project of guests: what its spiders registered."""

from __future__ import annotations

import argparse

from scrapy.exceptions import UsageError

from lcl_spiders.commands import sources

ACTIONS = ("list", "show", "remove")


class Command(sources.Command):
    """List, show and remove sources. Adding them is the business of a spider's first crawl."""

    def syntax(self) -> str:
        return "[options] list | show <source> | remove <source>"

    def short_desc(self) -> str:
        return "List, show and remove the sources that the spiders registered"

    def long_desc(self) -> str:
        return (
            "A source is what one spider crawls, named by its slug, its domain or its id, exactly.\n"
            "\n"
            "  scrapy sources list\n"
            "  scrapy sources show town\n"
            "  scrapy sources remove town --yes\n"
        )

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        if not words or words[0] not in ACTIONS:
            msg = f"sources takes {', '.join(ACTIONS)}; a spider's first crawl adds its source"
            raise UsageError(msg, print_help=False)
        return await super().main(words, opts)
