"""How models, estimates and results of `scrapy reembed` are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.filesize import decimal

from lcl_spiders.console import lasting, plain_table
from lcl_spiders.ledger import as_money

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from db.coverage import ModelCoverage
    from db.models import Model
    from lcl_spiders.ledger import Price
    from lcl_spiders.reembedding.call import Done, Released
    from pipelines.reembedding.estimate import Estimate

_FIGURES = ("covered", "pages", "refused", "texts", "rows", "indexes")


def as_table(models: Sequence[ModelCoverage]) -> Table:
    """Return models with their coverage and what they take on the disk as a table."""
    table = plain_table("model", "size", "chunks", "state", *_FIGURES, right=("size", *_FIGURES))
    for model in models:
        table.add_row(
            f"{model.provider}/{model.name}",
            f"{model.dimensions:,}",
            model.chunker_version,
            model.state,
            f"{model.covered:,}",
            f"{model.pages:,}",
            f"{model.refused:,}",
            f"{model.chunks:,}",
            decimal(model.row_bytes),
            decimal(model.index_bytes),
        )
    return table


def estimate_lines(model: Model, wanted: Estimate, price: Price | None = None) -> list[str]:
    """Return what building a model will take, in sentences."""
    about = "" if wanted.is_exact else "about "
    stored = f"; {wanted.stored:,} more are stored with it already" if wanted.stored else ""
    lines = [
        f"{model}, beside the model that searches use:",
        f"  {wanted.pages:,} pages to cover, {about}{wanted.texts:,} texts to send{stored}",
    ]
    if not wanted.texts:
        return lines
    guess = "" if wanted.is_counted else ", partly guessed from their length"
    lines.append(f"  about {wanted.tokens:,} tokens, as the present model's provider counts them{guess}")
    if wanted.money is not None and price is not None:
        lines.append(f"  about {as_money(wanted.money)} {price.currency}, by LCL_PRICE_PER_MILLION_TOKENS")
    if wanted.seconds is not None:
        lines.append(f"  about {lasting(wanted.seconds)}, if it goes on as it answered one request")
    lines.append("  From now on crawls embed new and changed pages with both models.")
    return lines


def end_line(done: Done) -> str:
    """Return how a build ended, in a sentence."""
    built = done.built
    told = f"{built.pages:,} pages covered in {built.chunks:,} chunks, {built.embedded:,} texts embedded"
    if done.is_active:
        return f"{told}. The index's model is now {done.model}"
    return f"{told}. When every page is covered: scrapy reembed --activate"


def freed_line(released: Released) -> str:
    """Return what the end of a model's rows gave back, in a sentence."""
    freed = released.freed
    return (
        f"{released.model}: {freed.embeddings:,} chunks of {freed.pages:,} pages deleted, whose space the table uses "
        f"again; {decimal(freed.index_bytes)} of indexes given back to the disk"
    )
