"""`make bench-text`: what extraction keeps of pages whose main text is known, and what it costs.

Pages are generated (20 markups and 6 kinds, six of the markups held out from development), or those of two
documentation sites, which mark their body themselves. Each extractor runs in a process of its own, over the same bytes,
and is timed in seconds of processor time, which neighbours on the machine do not change; its peak is the resident set
of that process.
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from random import Random

from lxml import etree, html
from rich.console import Console
from rich.table import Table

from benchmarks import text_held_out, text_seen
from benchmarks.documents import SITES, Site, folder_of
from benchmarks.text_learned import learned_of
from benchmarks.text_pages import KINDS, make_page
from benchmarks.text_score import Score
from benchmarks.text_words import DUTCH, ENGLISH, Writer

_BREAKING = "p div li dt dd td th tr pre table h1 h2 h3 h4 h5 h6 br section article blockquote ul ol dl body"
BLOCKS = frozenset(_BREAKING.split())
MB = 1024


@dataclass(frozen=True)
class Sample:
    """A page with its truth. `group` is the set that it counts in."""

    group: str
    name: str
    body: bytes
    truth: tuple[str, ...]
    neutral: tuple[str, ...] = ()
    cards: tuple[tuple[str, str], ...] = ()


def generated(per_markup: int, seed: int) -> Iterator[Sample]:
    """Yield the generated pages of each kind and markup; equal seeds make equal pages."""
    for held_out, markups in (("seen", text_seen.MARKUPS), ("held out", text_held_out.MARKUPS)):
        for kind in KINDS:
            for name, markup in markups.items():
                for number in range(per_markup):
                    random = Random(f"{seed}/{kind}/{name}/{number}")
                    page = make_page(kind, Writer(random, random.choice([ENGLISH, ENGLISH, DUTCH])))
                    marked_up = markup(page)
                    body = marked_up.html().encode()
                    cards = tuple((card.title, card.when) for card in page.cards)
                    group = f"{kind}, {held_out}"
                    yield Sample(
                        group,
                        f"{name}/{kind}/{number}",
                        body,
                        tuple(page.truth(marked_up.order)),
                        tuple(page.neutral()),
                        cards,
                    )


def documents(site: Site, every: int) -> Iterator[Sample]:
    """Yield each `every`th page of a documentation site, its truth being the body by its own markup."""
    folder = folder_of(site)
    for path in sorted(folder.rglob("*.html"))[::every]:
        body = path.read_bytes()
        if truth := main_of(body):
            yield Sample(site.name, str(path.relative_to(folder)), body, (truth,))


def main_of(body: bytes) -> str:
    """Return the text of a page's own main element: Sphinx's `div.body`, DocBook's body without its navigation."""
    tree = html.document_fromstring(body, parser=html.HTMLParser(encoding="utf-8", remove_comments=True))
    root = next(iter(tree.xpath("//div[@role='main']")), tree.find("body"))
    if root is None:
        return ""
    unwanted = "navheader", "navfooter", "headerlink", "sphinxsidebar", "related", "footer"
    for element in list(root.iter("script", "style", "div", "a")):
        names = element.get("class", "").split()
        if element is not root and (element.tag in {"script", "style"} or any(name in unwanted for name in names)):
            element.drop_tree()
    return text_of(root)


def text_of(root: html.HtmlElement) -> str:
    """Return an element's text, with white space where a browser would begin another line or cell."""
    for element in root.iter(etree.Element):
        if element.tag in BLOCKS:
            element.text = "\n" + (element.text or "")
            element.tail = "\n" + (element.tail or "")
    return str(root.text_content())


# The extractors


def _ours() -> Callable[[bytes], str]:
    from lcl_spiders.extraction import ExtractionError
    from lcl_spiders.extraction.extract import extract_page

    def read(body: bytes) -> str:
        try:
            return extract_page(body, "https://example.org/folder/page.html", "utf-8").content
        except ExtractionError:
            return ""

    return read


def _trafilatura() -> Callable[[bytes], str]:
    import trafilatura

    return lambda body: trafilatura.extract(body, output_format="markdown", fast=True, include_comments=False) or ""


def _resiliparse() -> Callable[[bytes], str]:
    from resiliparse.extract.html2text import extract_plain_text

    return lambda body: extract_plain_text(body.decode(), main_content=True, preserve_formatting=True, comments=False)


def _readability() -> Callable[[bytes], str]:
    from readability import Document

    def read(body: bytes) -> str:
        try:
            summary = Document(body.decode()).summary()
        except Exception:  # noqa: BLE001 - it raises its own Unparseable, lxml's errors and TypeError: nothing was found
            return ""
        return text_of(html.document_fromstring(summary)) if summary.strip() else ""

    return read


EXTRACTORS: dict[str, Callable[[], Callable[[bytes], str]]] = {
    "ours": _ours,
    "trafilatura": _trafilatura,
    "resiliparse": _resiliparse,
    "readability-lxml": _readability,
}


@dataclass
class Ran:
    """`texts` in the order of the pages, `seconds` of processor time for each, `peak` resident MB of the process."""

    texts: list[str]
    seconds: list[float]
    peak: float


def run(extractor: str, bodies: list[bytes]) -> Ran:
    """Extract all pages in this process."""
    logging.disable(logging.CRITICAL)
    read = EXTRACTORS[extractor]()
    read(bodies[0])  # what is imported or compiled at the first call is no page's cost
    texts, seconds = [], []
    for body in bodies:
        began = time.process_time()
        texts.append(read(body))
        seconds.append(time.process_time() - began)
    return Ran(texts, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MB)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text", description=__doc__)
    parser.add_argument(
        "--per-markup", type=int, default=5, help="generated pages of each kind and markup (default: %(default)s)"
    )
    parser.add_argument(
        "--every", type=int, default=1, help="take each Nth page of the documentation sites (default: all)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the generated pages (default: %(default)s)")
    parser.add_argument("--only", choices=EXTRACTORS, action="append", help="not all extractors (may be repeated)")
    parser.add_argument("--sets", choices=["generated", "documents"], action="append", help="not both sets")
    parser.add_argument(
        "--worst", type=int, default=0, metavar="N", help="print the N pages of ours with the lowest F1"
    )
    arguments = parser.parse_args()
    sets = arguments.sets or ["generated", "documents"]
    samples = list(generated(arguments.per_markup, arguments.seed)) if "generated" in sets else []
    if "documents" in sets:
        for site in SITES:
            samples += documents(site, arguments.every)
    bodies = [sample.body for sample in samples]
    results: dict[str, Ran] = {}
    for extractor in arguments.only or EXTRACTORS:
        # A process each: what one extractor leaves in memory is not counted for the next.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            results[extractor] = pool.submit(run, extractor, bodies).result()
    _print(samples, results)
    if "ours" in results:
        for site in SITES:
            texts = [results["ours"].texts[n] for n, sample in enumerate(samples) if sample.group == site.name]
            if texts:
                print(learned_of(site.name, texts))
    if arguments.worst and "ours" in results:
        _print_worst(samples, results["ours"], arguments.worst)


def _print(samples: list[Sample], results: dict[str, Ran]) -> None:
    console = Console(width=150, markup=False, highlight=False)
    table = Table(
        "set", "pages", "extractor", "precision", "recall", "F1", "boilerplate", "titles", "dates", "pages/s", box=None
    )
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for number, sample in enumerate(samples):
        groups[sample.group].append(number)
    for group, numbers in groups.items():
        for extractor, ran in results.items():
            score = Score()
            for number in numbers:
                sample = samples[number]
                score.add(ran.texts[number], sample.truth, sample.neutral, sample.cards)
            cards = [f"{n / score.cards:.3f}" if score.cards else "" for n in (score.titles_kept, score.dates_kept)]
            speed = len(numbers) / max(sum(ran.seconds[number] for number in numbers), 1e-9)
            figures = [f"{value:.3f}" for value in (score.precision, score.recall, score.f1)]
            table.add_row(
                group, str(len(numbers)), extractor, *figures, f"{score.boilerplate:.1%}", *cards, f"{speed:,.0f}"
            )
    console.print(table)
    for extractor, ran in results.items():
        console.print(f"{extractor}: peak {ran.peak:.0f} MB")


def _print_worst(samples: list[Sample], ran: Ran, count: int) -> None:
    found = []
    for sample, text in zip(samples, ran.texts, strict=True):
        if "held out" in sample.group:  # whoever looks at these pages develops with them
            continue
        score = Score()
        score.add(text, sample.truth, sample.neutral, sample.cards)
        found.append((score.f1, sample.name, score.precision, score.recall, score.boilerplate))
    for f1, name, precision, recall, boilerplate in sorted(found)[:count]:
        print(
            f"{name}: F1 {f1:.3f}, precision {precision:.3f}, recall {recall:.3f}, boilerplate {boilerplate:.1%}",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
