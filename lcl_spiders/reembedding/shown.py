"""How models, estimates and results of `scrapy reembed` are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.filesize import decimal

from lcl_spiders.console import lasting, plain_table
from lcl_spiders.ledger import as_money

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from db.coverage import ModelCoverage, ModelSummary
    from db.models import Model
    from lcl_spiders.ledger import Price
    from lcl_spiders.reembedding.call import Done, Left, Released
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


def summary_table(models: Sequence[ModelSummary]) -> Table:
    """Return models with how far they have come as a table."""
    figures = ("size", "covered", "pages", "chunks")
    table = plain_table("model", "size", "cut by", "state", *figures[1:], right=figures)
    for model in models:
        table.add_row(
            f"{model.provider}/{model.name}",
            f"{model.dimensions:,}",
            model.chunker_version,
            model.state,
            f"{model.covered:,}",
            f"{model.pages:,}",
            f"{model.chunks:,}",
        )
    return table


def estimate_lines(
    model: Model,
    wanted: Estimate,
    price: Price | None = None,
    *,
    by_batch: bool = False,
    waiting: int = 0,
    per_day: int | None = None,
) -> list[str]:
    """Return what building a model will take, in sentences.

    `waiting` texts of it were left to a batch before; `per_day` is the limit on the tokens of a day.
    """
    about = "" if wanted.is_exact else "about "
    already = "are stored with it or wait for a batch already" if by_batch else "are stored with it already"
    stored = f"; {wanted.stored:,} more {already}" if wanted.stored else ""
    task = "leave to batches" if by_batch else "send"
    lines = [
        f"{model}, beside the model that searches use:",
        f"  {wanted.pages:,} pages to cover, {about}{wanted.texts:,} texts to {task}{stored}",
    ]
    if waiting:
        lines.append(
            f"  {waiting:,} of these texts wait for a batch, at half the price: `scrapy batches run` first, or they "
            "are sent now"
        )
    if not wanted.texts:
        return lines
    guess = "" if wanted.is_counted else ", partly guessed from their length"
    lines.append(f"  about {wanted.tokens:,} tokens, as the present model's provider counts them{guess}")
    if wanted.money is not None and price is not None:
        half = ", at half of it for batches" if by_batch else ""
        lines.append(f"  about {as_money(wanted.money)} {price.currency}, by LCL_PRICE_PER_MILLION_TOKENS{half}")
    if wanted.seconds is not None:
        lines.append(f"  about {lasting(wanted.seconds)}, if it goes on as it answered one request")
    if per_day is not None and wanted.tokens > per_day:
        lines.append(f"  more than the {per_day:,} of a day (LCL_MAX_TOKENS_PER_DAY): it takes several, a call each")
    lines.append("  From now on crawls embed new and changed pages with both models.")
    return lines


def left_line(left: Left) -> str:
    """Return what was left to batches, and what is to be done next, in a sentence."""
    waiting = left.waiting
    return (
        f"{left.pages:,} pages are not covered by {left.model}; {left.recorded:,} texts recorded, {waiting.free:,} "
        f"wait for a batch, {waiting.asked:,} are in one. Next: scrapy batches run, then the same command without "
        "--batch, which embeds what is left and covers the pages"
    )


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
