"""`scrapy batches`: texts that a provider's Batch API embeds, for half the price, within a day."""

from __future__ import annotations

import argparse
import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import psycopg
from scrapy.exceptions import UsageError

from db import batches, models, pending
from db.errors import DatabaseUnavailable, one_line
from lcl_spiders.console import CommandFailed, IndexCommand, ago, plain_table, whole_number
from lcl_spiders.extensions.verdict import EXIT_BUSY
from pipelines import runtime
from pipelines.providers import ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.batch_api.apis import Apis
    from pipelines.runtime import Runtime

EVERY = 60  # seconds between two looks of `run`
MAX_TEXTS = 50_000
PATIENCE = 30  # looks in a row at which the provider or the database may be away
FIGURES = ("texts", "done", "refused", "tokens")


class Command(IndexCommand):
    """Submit, poll, apply, list and cancel batches."""

    def syntax(self) -> str:
        return "[options] [list | submit | poll | apply | run | cancel <batch> …]"

    def short_desc(self) -> str:
        return "Embed by the provider's Batch API, for half the price"

    def long_desc(self) -> str:
        return (
            "With LCL_EMBEDDING_BATCH=true a crawl leaves texts without a vector to the provider's Batch API, which "
            "answers within 24 hours. Their pages are no part of the index until then; known pages keep their old "
            "version. `scrapy reembed --batch` leaves the texts of another model to it."
            "\n"
            "\n"
            "  scrapy crawl example -s LCL_EMBEDDING_BATCH=true\n"
            "  scrapy batches run                  submit, poll and apply until nothing waits any more\n"
            "  scrapy batches submit               send what waits; poll and apply are the other two steps\n"
            "  scrapy batches                      the batches, and what waits\n"
            "  scrapy batches cancel 17            or --all; what is done by then is kept, the rest waits again\n"
            "\n"
            "Every step may be killed and made again: nothing is sent twice, nothing is lost.\n"
            "Exit code: 0 when it was done, 75 when another process submits or a run holds a domain, 1 otherwise.\n"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "--max-texts",
            type=whole_number(1, MAX_TEXTS),
            default=MAX_TEXTS,
            metavar="N",
            help=f"submit, run: most texts in one batch (default {MAX_TEXTS:,}, the most the API takes)",
        )
        parser.add_argument(
            "--every",
            type=whole_number(1, 3600),
            default=EVERY,
            metavar="SECONDS",
            help=f"run: time between two looks (default {EVERY})",
        )
        parser.add_argument(
            "--limit", type=whole_number(1, 10_000), default=20, metavar="N", help="list: most batches (default 20)"
        )
        parser.add_argument("--all", action="store_true", help="cancel: every batch that is at work")

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        action, *names = words or ["list"]
        if action == "list" and not names:
            return await self._list(opts)
        actions = {"submit": self._submit, "poll": self._poll, "apply": self._apply, "run": self._run}
        if (action not in actions or names) and action != "cancel":
            msg = "say what to do: list, submit, poll, apply, run, or cancel with the numbers of batches"
            raise UsageError(msg, print_help=False)
        # All commands are imported at each start of any; the client library takes a second.
        from pipelines.batch_api.apis import Apis  # noqa: PLC0415 - see above

        async with AsyncExitStack() as stack:
            leased = await runtime.lease(self.config)
            stack.push_async_callback(runtime.give_back, leased)
            apis = await stack.enter_async_context(Apis(leased))
            if action == "cancel":
                return await self._cancel(leased, apis, names, opts)
            return await actions[action](leased, apis, opts)

    async def _list(self, opts: argparse.Namespace) -> int:
        async with self.database() as connection:
            found = await batches.recent(connection, limit=opts.limit)
            waiting = await pending.standing(connection)
            names = {model.id: f"{model.provider}/{model.name}" for model in await models.every(connection)}
        if self.as_json:
            self.print_json({"batches": found, "waiting": waiting})
            return 0
        if found:
            table = plain_table("batch", "model", "state", *FIGURES, "submitted", "results", "error", right=FIGURES)
            for batch in found:
                table.add_row(
                    str(batch.id),
                    names[batch.model_id],
                    batch.state,
                    f"{batch.texts:,}",
                    f"{batch.completed:,}",
                    f"{batch.failed:,}",
                    f"{batch.tokens:,}",
                    ago(batch.submitted_at),
                    "taken" if batch.settled_at else "",
                    batch.error or "",
                )
            self.console.print(table)
        self.say(
            f"{waiting.pages:,} pages wait, {waiting.ready_pages:,} of them only to be applied; {waiting.free_texts:,} "
            f"texts to be submitted, {waiting.asked_texts:,} in batches"
        )
        return 0

    async def _submit(self, leased: Runtime, apis: Apis, opts: argparse.Namespace) -> int:
        from pipelines.batch_api.submit import submit  # noqa: PLC0415 - see main

        done = await submit(leased, apis, max_texts=opts.max_texts)
        self._tell(vars(done), f"{len(done.batches):,} batches submitted, with {done.texts:,} texts", done.problems)
        if done.is_busy:
            self.complain("another process submits at this moment; nothing was done")
            return EXIT_BUSY
        return int(bool(done.problems))

    async def _poll(self, leased: Runtime, apis: Apis, _: argparse.Namespace) -> int:
        from pipelines.batch_api.poll import poll  # noqa: PLC0415 - see main

        done = await poll(leased, apis)
        self._tell(
            vars(done),
            f"{len(done.ended):,} batches ended: {done.results:,} texts have results, {done.returned:,} wait again",
            done.problems,
        )
        return int(bool(done.problems))

    async def _apply(self, leased: Runtime, _: Apis, __: argparse.Namespace) -> int:
        from pipelines.batch_api.apply import apply  # noqa: PLC0415 - see main

        done = await apply(leased)
        figures = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in done.pages.items() if count)
        self._tell(vars(done), f"pages: {figures or 'none was ready'}", [])
        if done.busy:
            self.complain(f"a run holds the domain of {', '.join(done.busy)}; apply again when it has ended")
            return EXIT_BUSY
        return 0

    async def _run(self, leased: Runtime, apis: Apis, opts: argparse.Namespace) -> int:
        """Go round until nothing waits. What is temporary is waited for; what fails again and again is not."""
        away = 0
        told = ""
        while True:
            try:
                code, line = await self._round(leased, apis, opts)
                away = 0
            except (ProviderUnavailable, DatabaseUnavailable, psycopg.OperationalError) as error:
                away += 1
                self.complain(f"{one_line(error)}. Asked again in {opts.every} s")
                if away >= PATIENCE:
                    raise
                code, line = None, told
            if line != told:
                self.say(f"{time.strftime('%H:%M:%S')} {line}")
                told = line
            if code is not None:
                return code
            await asyncio.sleep(opts.every)  # the rhythm of the looks

    async def _round(self, leased: Runtime, apis: Apis, opts: argparse.Namespace) -> tuple[int | None, str]:
        """Make each step once, and return the exit code when there is no more to do, with a line about what waits."""
        from pipelines.batch_api.round import go_round  # noqa: PLC0415 - see main

        done = await go_round(leased, apis, max_texts=opts.max_texts)
        for problem in done.problems:
            self.complain(problem)
        waiting = await leased.use_connection(pending.standing)
        unsettled = await leased.use_connection(batches.unsettled)
        at_work = [batch for batch in unsettled if batch.id not in done.polled.unknown]
        line = (
            f"{len(at_work):,} batches at work, {sum(batch.completed for batch in at_work):,} of "
            f"{sum(batch.texts for batch in at_work):,} texts done; {waiting.pages:,} pages wait"
        )
        if not at_work and not waiting.free_texts and not waiting.ready_pages:
            return int(bool(done.polled.unknown)), line
        # What was refused as a whole would be refused again; the others are seen to their end.
        if done.problems and not at_work and not done.applied.busy:
            return 1, line
        return None, line

    async def _cancel(self, leased: Runtime, apis: Apis, names: Sequence[str], opts: argparse.Namespace) -> int:
        from pipelines.batch_api.cancel import cancel  # noqa: PLC0415 - see main

        if bool(names) == opts.all:
            msg = "batches cancel takes the numbers of batches, or --all"
            raise UsageError(msg, print_help=False)
        if wrong := [name for name in names if not name.isdecimal()]:
            msg = f"{wrong[0]!r} is no number of a batch; `scrapy batches` lists them"
            raise CommandFailed(msg)
        done = await cancel(leased, apis, None if opts.all else {int(name) for name in names})
        if not done.batches and not done.busy:
            self.complain("nothing was cancelled: none of these is at work")
            return 1
        told = f"{len(done.batches):,} told to end; `scrapy batches poll` takes what was done by then"
        self._tell({"cancelled": done.batches, "busy": done.busy}, told, [])
        if done.busy:
            self.complain(f"batch {', '.join(map(str, done.busy))} is being submitted at this moment; try again")
            return EXIT_BUSY
        return 0

    def _tell(self, value: dict[str, Any], sentence: str, problems: Sequence[str]) -> None:
        if self.as_json:
            self.print_json(value)
        else:
            self.say(sentence)
        for problem in problems:
            self.complain(problem)
