"""`scrapy genspider`: Scrapy's own, over this project's templates."""

from __future__ import annotations

import argparse

from scrapy.commands.genspider import Command as ScrapyCommand
from scrapy.spiderloader import SpiderLoader


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
        super().run(args, opts)
