"""`scrapy doctor`: is everything as it should be, and if not, what to do."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import psycopg
from rich.text import Text
from scrapy.exceptions import UsageError

from db import indexes, jobs, models, overview, pages, schema
from db.connection import connect, describe
from db.coverage import by_model
from db.errors import DatabaseProblem
from lcl_spiders import health
from lcl_spiders.console import CommandFailed, IndexCommand
from lcl_spiders.health import Finding, some
from lcl_spiders.rendering.chromium import BrowserUnavailable, find_chromium, version_of
from pipelines.index_model import Named

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from db.connection import Connection
    from db.models import Model
    from db.pages import Coverage

MIN_PGVECTOR = (0, 8)  # search_pages sets hnsw.iterative_scan
_INDEXES = {"hnsw": "the index over vectors (HNSW)", "gin": "the index over text (GIN)"}


class Command(IndexCommand):
    """Check settings, database, provider and index."""

    def syntax(self) -> str:
        return "[options]"

    def short_desc(self) -> str:
        return "Check settings, database, embedding provider and index"

    def long_desc(self) -> str:
        return (
            "Check one thing after the other and say for each what was found, and what to do where something is wrong. "
            "Jobs of processes that died are closed as lost; nothing else is changed.\n"
            "\n"
            "  scrapy doctor\n"
            "  scrapy doctor --json | jq '.[] | select(.state != \"ok\")'\n"
            "\n"
            "Exit code: 0 when nothing is wrong, 1 otherwise.\n"
        )

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        if words:
            msg = "doctor takes no names"
            raise UsageError(msg, print_help=False)
        findings = []
        async for finding in self._examine():
            findings.append(finding)
            if not self.as_json:
                self._print(finding)
        if self.as_json:
            self.print_json([asdict(finding) for finding in findings])
        return int(any(finding.state == "wrong" for finding in findings))

    def _print(self, finding: Finding) -> None:
        style = {"ok": "green", "note": "yellow", "wrong": "bold red"}[finding.state]
        label = {"ok": "OK", "note": "note", "wrong": "WRONG"}[finding.state]
        line = Text().append(f"{label:<6}", style).append(f"{finding.check:<12}", "bold").append(finding.found)
        self.console.print(line, soft_wrap=True)
        if finding.advice:
            self.say(f"{'':18}{finding.advice}")

    async def _examine(self) -> AsyncIterator[Finding]:
        """Yield findings in the order in which they depend on each other; stop where the next could not be checked."""
        try:
            address = self.config.database
        except CommandFailed as error:
            yield Finding("settings", "wrong", str(error))
            return
        yield Finding("settings", "ok", "every setting can be read")
        try:
            url = await asyncio.to_thread(address.resolve)
            if address.is_embedded:
                await asyncio.to_thread(schema.upgrade_if_needed, url)
            async with connect(url, vectors=False) as connection:
                version = connection.info.server_version // 10_000
                kind = f"embedded in {address.folder}" if address.is_embedded else describe(url)
                yield Finding("database", "ok", f"PostgreSQL {version}, {kind}")
                yield (found := await _schema(connection))
                if found.state == "wrong":
                    return
                yield await _pgvector(connection)
            async with connect(url) as connection:
                async for finding in self._examine_index(connection):
                    yield finding
        except (DatabaseProblem, psycopg.Error) as error:
            yield Finding("database", "wrong", " ".join(str(error).split()), "start it, or correct DATABASE_URL")

    async def _examine_index(self, connection: Connection) -> AsyncIterator[Finding]:
        model = await models.active(connection)
        yield await health.provider(self.config, Named.from_settings(self.project_settings), model)
        if rendered := await overview.rendered(connection):
            yield await _browser(self.project_settings.get("LCL_CHROMIUM_PATH"), rendered)
        yield await health.invariant(connection)
        coverage = await pages.coverage(connection)
        yield await health.coverage(connection, coverage)
        for finding in health.beside(await by_model(connection)):
            yield finding
        yield await _freshness(connection)
        yield await _yield(connection)
        yield await _jobs(connection)
        yield await _indexes(connection, model, self.config.index_min_chunks)
        yield _failures(coverage)


async def _schema(connection: Connection) -> Finding:
    try:
        await schema.check(connection)
    except DatabaseProblem as error:
        return Finding("schema", "wrong", str(error))
    return Finding("schema", "ok", f"at {schema.names()[-1]}")


async def _pgvector(connection: Connection) -> Finding:
    version = await overview.pgvector_version(connection)
    if version is None:
        return Finding("pgvector", "wrong", "the extension is not in this database", "run CREATE EXTENSION vector")
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_PGVECTOR:
        return Finding(
            "pgvector", "wrong", f"{version} is too old", "install 0.8 or newer, then ALTER EXTENSION vector UPDATE"
        )
    return Finding("pgvector", "ok", version)


async def _browser(path: str | None, rendered: Sequence[str]) -> Finding:
    try:
        executable = find_chromium(path)
        version = await version_of(executable)
    except BrowserUnavailable as error:
        return Finding("browser", "wrong", str(error), f"until then these sources are not crawled: {some(rendered)}")
    return Finding("browser", "ok", f"{version} ({executable}), for sources that are rendered: {some(rendered)}")


async def _freshness(connection: Connection) -> Finding:
    overdue = await overview.overdue(connection)
    if overdue:
        found = f"without a successful run within their interval: {some(overdue)}"
        return Finding("freshness", "wrong", found, f"see why: scrapy status {overdue[0]}")
    return Finding("freshness", "ok", "every enabled source had a successful run within its interval, or is new")


async def _yield(connection: Connection) -> Finding:
    empty = await overview.empty(connection)
    if empty:
        found = f"the last {jobs.EMPTY_RUNS} runs found nothing: {some(empty)}"
        return Finding("yield", "note", found, f"has the site moved? See: scrapy status {empty[0]}")
    return Finding("yield", "ok", f"no source found nothing {jobs.EMPTY_RUNS} times in a row")


async def _jobs(connection: Connection) -> Finding:
    lost = await jobs.close_lost(connection)
    if lost:
        return Finding("jobs", "note", f"jobs of dead processes, now closed as lost: {len(lost)}", "crawl them again")
    return Finding("jobs", "ok", "no job of a dead process")


async def _indexes(connection: Connection, model: Model | None, min_chunks: int) -> Finding:
    if unusable := await overview.unusable_indexes(connection):
        advice = f"the next successful crawl drops it, and builds it again if needed; or DROP INDEX {unusable[0]}"
        return Finding("indexes", "wrong", f"half built: {some(unusable)}", advice)
    if model is not None and (lacking := await indexes.lacking(connection, model, min_chunks=min_chunks)):
        found = f"there is so much to search that these are needed: {some([_INDEXES[each] for each in lacking])}"
        return Finding("indexes", "wrong", found, "the next successful crawl builds them")
    if built := await indexes.built(connection, model) if model is not None else set():
        return Finding("indexes", "ok", f"built: {some([_INDEXES[each] for each in sorted(built)])}")
    return Finding("indexes", "ok", "none is needed yet: with so few chunks searches are exact")


def _failures(coverage: Coverage) -> Finding:
    if not coverage.failed:
        return Finding("failures", "ok", "no failed pages")
    found = f"pages that could not be read when last tried, and are tried again: {coverage.failed:,}"
    return Finding("failures", "note", found, "see which: scrapy status <source>")
