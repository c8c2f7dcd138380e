"""`scrapy search`: ask the index a question."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text
from scrapy.exceptions import UsageError

from db import pages
from lcl_spiders.console import IndexCommand, whole_number
from pipelines import query

if TYPE_CHECKING:
    from pipelines.query import Result

SNIPPET = 320
HIGHLIGHT = "bold yellow"

_WORD = re.compile(r"\w+")
_HEADING_MARK = re.compile(r"^#{1,6} ", re.MULTILINE)


class Command(IndexCommand):
    """Search by meaning and by words."""

    def syntax(self) -> str:
        return "[options] <words>"

    def short_desc(self) -> str:
        return "Search the index by meaning and by words"

    def long_desc(self) -> str:
        return (
            "Print the pages that answer a query best, each with its best passage. The query is embedded with the "
            "model that the index is made with, and its words are looked up as well.\n"
            "\n"
            '  scrapy search "when is the museum open"\n'
            '  scrapy search "opening hours" --source example --limit 3\n'
            "  scrapy search '\"guided tour\" -children' --text-only\n"
            '  scrapy search "opening hours" --json | jq -r ".[].url"\n'
            "\n"
            "From Python: pipelines.query.search.\n"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--limit", type=whole_number(1, 100), default=10, metavar="N", help="most pages to print (default 10)"
        )
        parser.add_argument("--source", metavar="NAME", help="only this source, by slug, domain or id")
        parser.add_argument("--text-only", action="store_true", help="by words alone, without the embedding provider")

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        text = " ".join(words).strip()
        if not text:
            msg = "say what to search for"
            raise UsageError(msg, print_help=False)
        results = await query.search(
            text, limit=opts.limit, source=opts.source, text_only=opts.text_only, config=self.config
        )
        if not results:
            self.complain(await self._why_nothing(opts.source))
        if self.as_json:
            self.print_json([as_json(result) for result in results])
        for rank, result in enumerate(() if self.as_json else results, 1):
            self._print(rank, result, text)
        return 0

    async def _why_nothing(self, source: str | None) -> str:
        async with self.database() as connection:
            coverage = await pages.coverage(connection)
        if not coverage.chunks:
            return "the index is empty. Fill it: scrapy crawl website -a url=https://example.org/"
        return f"nothing found{f' in {source}' if source else ''}, in an index of {coverage.pages:,} pages"

    def _print(self, rank: int, result: Result, text: str) -> None:
        head = Text(f"{rank:>2}. ").append(result.title or result.url, "bold").append(f"  {result.score:.4f}", "dim")
        self.console.print(head)
        self.console.print(Text(f"    {result.url}", "cyan"), soft_wrap=True)
        if result.heading and result.heading != result.title:
            self.console.print(Text(f"    {result.heading}", "dim"))
        passage = Text(snippet(result.content, text))
        passage.highlight_regex(_pattern(text), HIGHLIGHT)
        self.console.print(Padding(passage, (0, 0, 1, 4), expand=False))


def as_json(result: Result) -> dict[str, object]:
    """Return a result with the fields that `--json` promises."""
    fields = ("url", "title", "heading", "content", "score", "source")
    return {name: getattr(result, name) for name in fields}


def snippet(content: str, text: str, width: int = SNIPPET) -> str:
    """Return the part of a passage, on one line, that has most of the query's words."""
    line = " ".join(_HEADING_MARK.sub("", content).split())
    if len(line) <= width:
        return line
    places = [match.start() for match in _pattern(text).finditer(line)] or [0]
    start = max(places, key=lambda place: sum(place <= other < place + width for other in places))
    start = max(0, min(start - width // 8, len(line) - width))
    start = line.rfind(" ", 0, start) + 1
    end = line.rfind(" ", start, start + width + 1) if start + width < len(line) else len(line)
    end = end if end > start else start + width
    return f"{'… ' if start else ''}{line[start:end]}{' …' if end < len(line) else ''}"


def _pattern(text: str) -> re.Pattern[str]:
    """Return what finds the query's words in a passage, also with another ending: "opens" for "open"."""
    words = _WORD.findall(text)
    # The shortest words are those that every text is full of.
    telling = [word for word in words if len(word) > 3] or words
    stems = "|".join(re.escape(word[: max(4, len(word) - 2)]) for word in sorted(telling, key=len, reverse=True))
    return re.compile(rf"\b(?:{stems})\w*" if stems else r"(?!)", re.IGNORECASE)
