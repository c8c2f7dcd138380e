"""`scrapy check`: Scrapy's own, with a line where a name cannot be checked instead of a traceback."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import psycopg
from scrapy.commands.check import Command as ScrapyCommand
from scrapy.spiderloader import SpiderLoader
from scrapy.utils.misc import set_environ

from db.errors import DatabaseUnavailable, InvalidSource, one_line

if TYPE_CHECKING:
    from scrapy.spiderloader import SpiderLoaderProtocol


class Command(ScrapyCommand):
    """Check the contracts of spiders."""

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        """Check the spiders that are named, all of those in code without a name; of a source, those of its spider."""
        assert self.crawler_process is not None  # noqa: S101 - Scrapy makes it before it calls run
        assert self.settings is not None  # noqa: S101 - set by Scrapy
        with set_environ(SCRAPY_CHECK="true"):
            for name in args:
                if (wrong := _why_not(self.crawler_process.spider_loader, name)) is not None:
                    in_code = ", ".join(SpiderLoader.from_settings(self.settings).list())
                    sys.stderr.write(f"scrapy check: {wrong}. Spiders in code: {in_code or 'none'}\n")
                    self.exitcode = 1
                    return
        super().run(args, opts)


def _why_not(loader: SpiderLoaderProtocol, name: str) -> str | None:
    """Return why a spider cannot be loaded, None when it can."""
    try:
        loader.load(name)
    except KeyError:
        return f"no spider and no source is called {name!r}, or its kind of spider is not there"
    except InvalidSource as error:
        return f"the source {name} cannot be crawled as it is stored: {error}"
    except (psycopg.Error, DatabaseUnavailable) as error:
        return f"no spider in code is called {name!r}, and the sources cannot be asked: {one_line(error)}"
    return None
