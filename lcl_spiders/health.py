"""What `scrapy doctor` finds, and how it judges models and their coverage (A22)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from db import overview, pages
from db.errors import ModelMismatch
from db.models import Model
from pipelines import index_model
from pipelines.chunker import Chunker
from pipelines.embedder import embedder_of
from pipelines.providers import ProviderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.connection import Connection
    from db.coverage import ModelCoverage
    from db.pages import Coverage
    from pipelines.config import Config
    from pipelines.index_model import Named

SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One check: `ok`, `note` (worth knowing, nothing is wrong) or `wrong`, what was found, and what to do."""

    check: str
    state: str
    found: str
    advice: str | None = None


async def provider(config: Config, named: Named, model: Model | None) -> Finding:
    """Ask the active model's provider for one embedding; in a new index, the one that the settings name."""
    spec = config.spec if model is None else index_model.spec_of(model, config.spec)
    try:
        embedder = await embedder_of(spec, config.embedding)
        try:
            dimensions = await embedder.check()
        finally:
            await embedder.close()
        if model is not None:
            index_model.chunker_of(model)
            index_model.held_to(model, dimensions)
    except (ProviderError, ModelMismatch) as error:
        return Finding("provider", "wrong", str(error), "what is indexed stays searchable with --text-only")
    if model is None:
        version = Chunker(config.chunk_size, config.prefixes).version
        ready = Model(0, spec.provider, embedder.model, dimensions, version)
        return Finding("provider", "ok", f"{ready} answers; the first crawl will make it the index's model")
    if other := named.unlike(model):
        return Finding("provider", "note", f"{model} answers", other)
    return Finding("provider", "ok", f"{model} answers")


async def invariant(connection: Connection) -> Finding:
    """Tell which pages have other embeddings than their chunks, under any model."""
    broken = await pages.broken_pages(connection)
    beside = await pages.broken_covers(connection)
    if not broken and not beside:
        return Finding("invariant", "ok", "every page's embeddings are exactly its chunks")
    if not broken:
        found = (
            f"pages whose embeddings under another model are not what it says: {some([url for _, _, url in beside])}"
        )
        return Finding(
            "invariant", "wrong", found, "build that model anew: scrapy reembed --retire, then reembed again"
        )
    slugs = await overview.slugs(connection, {source_id for _, source_id, _ in broken})
    commands = "; ".join(
        f"scrapy crawl {slug} -a force_rescrape=true -a reembed=true" for slug in sorted(slugs.values())
    )
    found = f"pages whose embeddings are not their chunks: {some([url for _, _, url in broken])}"
    return Finding("invariant", "wrong", found, commands)


async def coverage(connection: Connection, counted: Coverage) -> Finding:
    """Tell how many pages the active model has no embeddings of."""
    lacking = await overview.count_uncovered(connection)
    found = f"{counted.pages:,} pages, {counted.chunks:,} chunks, {counted.empty_pages:,} pages without text"
    if lacking:
        advice = "embed them: scrapy crawl <source> -a reembed=true"
        return Finding("coverage", "wrong", f"{found}; {lacking:,} lack embeddings for the active model", advice)
    return Finding("coverage", "ok", found)


def beside(models: Sequence[ModelCoverage]) -> list[Finding]:
    """Tell how far each model that is being built has come, and whether crawls keep up what it covers."""
    return [_building(model) for model in models if model.state == "building"]


def _building(model: ModelCoverage) -> Finding:
    found = f"{model.provider}/{model.name} ({model.chunker_version}) covers {model.covered:,} of {model.pages:,} pages"
    if model.refused:
        found += f"; its provider refuses a text of {model.refused:,}"
    if model.is_complete:
        return Finding("building", "ok", found, "make it the index's model: scrapy reembed --activate")
    if model.changed:
        found += f"; {model.changed:,} have changed since, and crawls did not embed them with it"
        return Finding("building", "note", found, "does its provider answer? Go on: scrapy reembed")
    return Finding("building", "note", found, "go on: scrapy reembed")


def some(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
