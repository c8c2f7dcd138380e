"""`scrapy search`: ask the index a question."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text
from scrapy.exceptions import UsageError

from db import pages
from db.errors import ModelMismatch
from lcl_spiders.console import CommandFailed, IndexCommand, whole_number
from lcl_spiders.searching import question
from lcl_spiders.searching.question import MAX_LIMIT, Question
from pipelines.providers import ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.query import Result

SNIPPET = 320
HIGHLIGHT = "bold yellow"

_WORD = re.compile(r"\w+")
_HEADING_MARK = re.compile(r"^#{1,6} ", re.MULTILINE)


class Command(IndexCommand):
    """Search by meaning and by words."""

    how_to_fill = "scrapy crawl website -a url=https://example.org/"

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
            '  scrapy search "opening hours" --source example --source other --limit 3\n'
            '  scrapy search "openingstijden" --language nl --path /museum/ --since 30d\n'
            "  scrapy search '\"guided tour\" -children' --text-only\n"
            '  scrapy search "opening hours" --json | jq -r ".[].url"\n'
            "\n"
            "From Python: pipelines.query.search.\n"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--limit", type=whole_number(1, MAX_LIMIT), default=10, metavar="N", help="most pages to print (default 10)"
        )
        parser.add_argument(
            "--source",
            action="append",
            default=[],
            metavar="NAME",
            help="only this source, by slug, domain or id (may be repeated)",
        )
        parser.add_argument(
            "--language",
            type=_argument(question.language),
            action="append",
            default=[],
            metavar="LANG",
            help="only pages in this language, as in nl (may be repeated)",
        )
        parser.add_argument(
            "--path", type=_argument(question.path), metavar="PREFIX", help="only pages under this path, as in /docs/"
        )
        parser.add_argument(
            "--since",
            type=_argument(question.since),
            metavar="TIME",
            help="only pages changed since then: 2026-10-01, or 7d for the last seven days",
        )
        parser.add_argument("--text-only", action="store_true", help="by words alone, without the embedding provider")

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        try:
            text = question.text(" ".join(words))
        except ValueError as error:
            raise UsageError(str(error), print_help=False) from None
        asked = Question(
            text=text,
            limit=opts.limit,
            sources=tuple(opts.source),
            languages=tuple(opts.language),
            path=opts.path,
            since=opts.since,
            text_only=opts.text_only,
        )
        try:
            results = await asked.ask(self.config)
        except (ProviderError, ModelMismatch) as error:
            msg = f"{error}. By words alone it goes without the provider: --text-only"
            raise CommandFailed(msg) from None
        if not results:
            self.complain(await self._why_nothing(asked))
        if self.as_json:
            self.print_json([as_json(result) for result in results])
        for rank, result in enumerate(() if self.as_json else results, 1):
            self._print(rank, result, text)
        return 0

    async def _why_nothing(self, asked: Question) -> str:
        async with self.database() as connection:
            coverage = await pages.coverage(connection)
        if not coverage.chunks:
            return f"the index is empty. Fill it: {self.how_to_fill}"
        return f"nothing found{asked.narrowed_to}, in an index of {coverage.pages:,} pages"

    def _print(self, rank: int, result: Result, text: str) -> None:
        head = Text(f"{rank:>2}. ").append(result.title or result.url, "bold").append(f"  {result.score:.4f}", "dim")
        self.console.print(head)
        self.console.print(Text(f"    {result.url}", "cyan"), soft_wrap=True)
        if result.heading and result.heading != result.title:
            self.console.print(Text(f"    {result.heading}", "dim"))
        passage = Text(snippet(result.content, text))
        passage.highlight_regex(_pattern(text), HIGHLIGHT)
        self.console.print(Padding(passage, (0, 0, 1, 4), expand=False))


def _argument(parse: Callable[[str], object]) -> Callable[[str], object]:
    """Return a type for argparse that passes on what is wrong with a value."""

    def parsed(given: str) -> object:
        try:
            return parse(given)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


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
