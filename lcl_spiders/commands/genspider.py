"""`scrapy genspider`: Scrapy's own, over this project's templates."""

from __future__ import annotations

import argparse
from keyword import iskeyword

from scrapy.commands.genspider import Command as ScrapyCommand
from scrapy.exceptions import UsageError
from scrapy.spiderloader import SpiderLoader

from db.sources import RESERVED_SLUGS
from db.urls import canonical_url


class Command(ScrapyCommand):
    """Write a new spider from a template: one for each kind of source."""

    def short_desc(self) -> str:
        """Return what the command does, in a line."""
        return "Write a spider for a source that needs code, from a template for its kind"

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Begin with a website where no kind is named: Scrapy's own default is not among the templates."""
        super().add_options(parser)
        parser.set_defaults(template="website")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Write the spider. Only those in code are asked for the name: none of it needs a database."""
        assert self.settings is not None  # noqa: S101 - set by Scrapy
        self.settings.set("SPIDER_LOADER_CLASS", SpiderLoader, priority="cmdline")
        if len(args) == len(("name", "url")) and not opts.edit:
            _check(*args)
        super().run(args, opts)


def _check(name: str, url: str) -> None:
    """Raise `UsageError` for a name that no module or source may have, and a URL that is none."""
    module = name.replace("-", "_")
    if not module.isidentifier() or iskeyword(module) or not name.isascii():
        msg = f"{name!r} cannot name a spider: it becomes a module; use letters, digits, hyphens and underscores"
        raise UsageError(msg, print_help=False)
    if name in RESERVED_SLUGS:
        msg = f"{name!r} is the name of a kind of spider; choose another"
        raise UsageError(msg, print_help=False)
    try:
        canonical_url(url if "://" in url else f"https://{url}")
    except ValueError as error:
        msg = f"{url!r} is no URL of a site: {error}"
        raise UsageError(msg, print_help=False) from None
