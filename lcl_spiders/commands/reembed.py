"""`scrapy reembed`: the index in another model, without a crawl."""

from __future__ import annotations

import argparse
import asyncio
import re
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rich.filesize import decimal
from scrapy.exceptions import UsageError

from lcl_spiders import ledger
from lcl_spiders.console import CommandFailed, IndexCommand, whole_number
from lcl_spiders.extensions.verdict import EXIT_BUSY
from lcl_spiders.reembedding import shown
from pipelines import runtime
from pipelines.embedding_config import MAX_DIMENSIONS, PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.coverage import ModelCoverage
    from db.models import Model
    from lcl_spiders.ledger import Price
    from lcl_spiders.reembedding.asked import Asked
    from lcl_spiders.reembedding.call import Reembedding, Released
    from pipelines.config import Config
    from pipelines.embedder import Embedder
    from pipelines.reembedding.estimate import Estimate

PAUSE = 20  # seconds; a commit that waits gives up after 30


class Command(IndexCommand):
    """Build another model beside the active one, switch to it, free what is no longer used."""

    def syntax(self) -> str:
        return "[options]"

    def short_desc(self) -> str:
        return "Move the index to another embedding model, without a crawl"

    def long_desc(self) -> str:
        return (
            "Embed the stored text of every page with another model, or in chunks of another size, beside the one that "
            "searches use; say before what it will cost, and ask. Interrupted or killed, the same command goes on "
            "where it was. Crawls embed new and changed pages with both. What is left open is as the active model has "
            "it; without a model, the one that is being built is meant.\n"
            "\n"
            "  scrapy reembed --status\n"
            "  scrapy reembed --provider openai --model text-embedding-3-small\n"
            "  scrapy reembed --chunk-size 700\n"
            "  scrapy reembed --query-prefix 'query: ' --passage-prefix 'passage: '     what multilingual-e5 wants\n"
            "  scrapy reembed --activate            switch, when every page is covered\n"
            "  scrapy reembed --provider local --activate     go back: only what changed since is embedded\n"
            "  scrapy reembed --batch --provider openai       leave the texts to the Batch API, for half the price\n"
            "  scrapy reembed --retire              free what retired models take\n"
            "\n"
            "A key stays in the environment: --api-key-env names its variable. Exit code: 0 when everything that was "
            "asked for is done, 1 when not, 75 when another process works on the model.\n"
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        which = parser.add_argument_group("which model")
        which.add_argument("--provider", choices=PROVIDERS, help="the active model's, unless given")
        which.add_argument("--model", metavar="NAME", help="its name at the provider")
        which.add_argument(
            "--dimensions", type=whole_number(1, MAX_DIMENSIONS), metavar="N", help="ask for vectors of this length"
        )
        which.add_argument("--chunk-size", type=whole_number(100, 20_000), metavar="N", help="most characters a chunk")
        for name in ("query", "passage"):
            which.add_argument(
                f"--{name}-prefix", metavar="TEXT", help=f"what the model wants before each {name}, as in '{name}: '"
            )
        which.add_argument("--base-url", type=_address, metavar="URL", help="of an OpenAI-compatible server")
        which.add_argument(
            "--api-key-env", type=_variable, metavar="NAME", help="the environment variable that holds its key"
        )
        what = parser.add_argument_group("what to do besides building")
        what.add_argument("--status", action="store_true", help="list models with their coverage, and do nothing")
        what.add_argument("--activate", action="store_true", help="make it the index's model when it is built")
        what.add_argument(
            "--retire", action="store_true", help="delete the rows of retired models, or of the one named"
        )
        what.add_argument(
            "--batch", action="store_true", help="embed nothing: leave the texts to the provider's batches (costs.md)"
        )
        what.add_argument(
            "--leave-out-refused",
            action="store_true",
            help="activate: a few pages of which the provider refuses a text may leave the index, as failed pages",
        )
        what.add_argument("--retry-refused", action="store_true", help="try texts again that the provider refused")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument(
            "--batch-size", type=whole_number(1, 2048), metavar="N", help="texts a request (LCL_EMBEDDING_BATCH_SIZE)"
        )
        parser.add_argument(
            "--pause",
            type=whole_number(1, 3600),
            default=PAUSE,
            metavar="SECONDS",
            help=f"longest time for which the switch may hold up the commits of crawls (default {PAUSE})",
        )

    async def main(self, words: list[str], opts: argparse.Namespace) -> int:
        # All commands are imported at each start of any; the chunker and its like take their time.
        from lcl_spiders.reembedding.asked import Asked  # noqa: PLC0415 - see above
        from lcl_spiders.reembedding.call import Reembedding  # noqa: PLC0415 - see above
        from lcl_spiders.reembedding.display import Display  # noqa: PLC0415 - see above
        from lcl_spiders.reembedding.reservation import Busy  # noqa: PLC0415 - see above

        if words:
            msg = "reembed takes no names: say which model with --provider and --model"
            raise UsageError(msg, print_help=False)
        if opts.batch and (opts.activate or opts.retire):
            msg = "--batch only leaves texts to batches: --activate and --retire come when these are done"
            raise UsageError(msg, print_help=False)
        if opts.leave_out_refused and not opts.activate:
            msg = "--leave-out-refused is for --activate: until then nothing leaves the index"
            raise UsageError(msg, print_help=False)
        asked = Asked(**{name: getattr(opts, name) for name in Asked.__dataclass_fields__})
        leased = await runtime.lease(self._config(opts.batch_size))
        try:
            with Display(self.console, is_silent=self.as_json) as display:
                reembedding = Reembedding(leased, display)
                if opts.status:
                    return self._show(await reembedding.status())
                if opts.retire and not opts.activate:
                    return await self._retire(reembedding, asked, yes=opts.yes)
                return await self._build(reembedding, asked, opts)
        except Busy as error:
            self.complain(str(error))
            return EXIT_BUSY
        except asyncio.CancelledError:
            self.complain("interrupted. What was done is kept; the same command goes on")
            raise
        finally:
            await runtime.give_back(leased)

    def _config(self, batch_size: int | None) -> Config:
        if batch_size is None:
            return self.config
        return replace(self.config, embedding=replace(self.config.embedding, batch_size=batch_size))

    def _show(self, models: Sequence[ModelCoverage]) -> int:
        if self.as_json:
            self.print_json(models)
        elif models:
            self.console.print(shown.as_table(models))
        else:
            self.say("There are no models yet: the first crawl makes the one active that the settings name.")
        return 0

    async def _build(self, reembedding: Reembedding, asked: Asked, opts: argparse.Namespace) -> int:
        model, embedder = await reembedding.find(asked)
        if model.state == "active":
            await reembedding.keep_active(model)
            freed = await self._free(reembedding, yes=opts.yes) if opts.retire else []
            told = {"model": model, "is_active": True, "freed": freed}
            self._tell(told, [f"{model} is the index's model already", *map(shown.freed_line, freed)])
            return 0
        if opts.batch:
            return await self._leave(reembedding, model, embedder, opts)
        waiting = await reembedding.waiting(model)
        price = self._price()
        wanted = await reembedding.estimate(model, embedder, None if price is None else price.per_million)
        if not self.as_json:
            self._tell(None, self._estimate_lines(model, wanted, waiting=waiting.free))
        tasks = [f"send {wanted.texts:,} texts"] if wanted.texts else []
        if opts.retire:
            tasks.append("delete what retired models take, the present one among them")
        if tasks:
            self._must_agree(f"this would {' and '.join(tasks)}", yes=opts.yes)
        done = await reembedding.build(
            model,
            embedder,
            pages=wanted.pages,
            retry=opts.retry_refused,
            pause=opts.pause if opts.activate else None,
            leave_out=opts.leave_out_refused,
        )
        freed = await self._free(reembedding, yes=True) if opts.retire else []
        told = {**asdict(done), "estimate": wanted, "freed": freed}
        self._tell(told, [shown.end_line(done), *map(shown.freed_line, freed)])
        for url, message in done.refused:
            self.complain(f"{url} is not covered: {message}")
        for url, message in done.left_out:
            self.complain(f"{url} is no part of the index any more, and is asked for by the next crawls: {message}")
        if done.pending:
            self.complain(f"{done.pending:,} pages changed meanwhile and are not covered yet: call again")
        return int(bool(done.refused or done.pending))

    async def _leave(self, reembedding: Reembedding, model: Model, embedder: Embedder, opts: argparse.Namespace) -> int:
        price = self._price()
        per_million = None if price is None else price.per_million * ledger.BATCH_SHARE
        wanted = await reembedding.estimate(model, embedder, per_million, by_batch=True)
        if not self.as_json:
            self._tell(None, self._estimate_lines(model, wanted, by_batch=True))
        if wanted.texts:
            self._must_agree(f"this would leave {wanted.texts:,} texts to batches", yes=opts.yes)
        left = await reembedding.leave(model, pages=wanted.pages, retry=opts.retry_refused)
        self._tell({**asdict(left), "estimate": wanted}, [shown.left_line(left)])
        return 0

    async def _retire(self, reembedding: Reembedding, asked: Asked, *, yes: bool) -> int:
        freed = await self._free(reembedding, None if asked.is_open else asked, yes=yes)
        self._tell({"freed": freed}, [shown.freed_line(each) for each in freed] or ["no retired model has rows"])
        return 0

    async def _free(self, reembedding: Reembedding, asked: Asked | None = None, *, yes: bool) -> list[Released]:
        """Delete, when that is agreed to, what is stored of the model asked for, or of all that are retired."""
        stored = {each.id: each for each in await reembedding.status()}
        found = [model for model in await reembedding.retirable(asked) if stored[model.id].chunks or asked is not None]
        sizes = [stored[model.id] for model in found]
        size = sum(each.row_bytes + each.index_bytes for each in sizes)
        what = f"{sum(each.chunks for each in sizes):,} chunks ({decimal(size)}) of {'; '.join(map(str, found))}"
        if found and not yes and not self.agrees(f"Delete {what}? Going back means to embed them again. [y/N] "):
            msg = f"nothing was freed: this would delete {what}. Say --yes if that is meant"
            raise CommandFailed(msg)
        return [await reembedding.free(model) for model in found]

    def _must_agree(self, what: str, *, yes: bool) -> None:
        if not yes and not self.agrees(f"{what[0].upper()}{what[1:]}. Go on? [y/N] "):
            msg = f"nothing was embedded: {what}. Say --yes if that is meant"
            raise CommandFailed(msg)

    def _estimate_lines(self, model: Model, wanted: Estimate, **told: Any) -> list[str]:
        return shown.estimate_lines(model, wanted, self._price(), per_day=self.config.limits.per_day, **told)

    def _price(self) -> Price | None:
        try:
            return ledger.price(self.project_settings)
        except ValueError as error:
            raise CommandFailed(str(error)) from None

    def _tell(self, value: Any, lines: Sequence[str]) -> None:
        if self.as_json:
            self.print_json(value)
            return
        for line in lines:
            self.say(line)


def _address(given: str) -> str:
    """Check a URL of the command line, which is stored and shown: it must hold no secret."""
    parts = urlsplit(given)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = "give a URL such as https://embeddings.example.org/v1"
        raise argparse.ArgumentTypeError(msg)
    if "@" in parts.netloc or parts.query:
        msg = "put no key or password into the URL, which is stored: name the key's variable with --api-key-env"
        raise argparse.ArgumentTypeError(msg)
    return given


def _variable(given: str) -> str:
    """Check the name of an environment variable, which is stored and shown: it must not be the key itself."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", given):
        msg = "give the name of an environment variable, not the key that is in it"
        raise argparse.ArgumentTypeError(msg)
    return given
