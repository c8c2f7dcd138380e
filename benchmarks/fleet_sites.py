"""`python -m benchmarks.fleet_sites`: many sites on ports of their own, until standard input ends.

Three of four are generated, every fourth is a slice of the PostgreSQL documentation. Prints the start URLs as a JSON
object of URL to number of pages.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys

from benchmarks import documents
from lcl_spiders.local_site import LocalSite

SMALLEST, LARGEST = 10, 200
WORDS_A_PAGE = (150, 900)
_LINK = re.compile(rb'href="([^"#]+)(#[^"]*)?"')


def sizes(count: int, seed: int) -> list[int]:
    """Return how many pages each site has: as many sites of 10 to 20 pages as of 100 to 200."""
    rng = random.Random(seed)
    return [round(SMALLEST * (LARGEST / SMALLEST) ** rng.random()) for _ in range(count)]


def generated(pages: int, seed: int) -> dict[str, bytes]:
    """Return a site whose pages have words, headings and neighbours of their own."""
    rng = random.Random(seed)
    vocabulary = ["".join(rng.choices("abdeghiklmnoprstuvw", k=rng.randint(3, 10))) for _ in range(600)]

    def page(number: int) -> bytes:
        title = " ".join(rng.choices(vocabulary, k=4)).title()
        body, left = [], rng.randint(*WORDS_A_PAGE)
        while left > 0:
            words = rng.randint(40, 90)
            heading = f"<h2>{' '.join(rng.choices(vocabulary, k=3)).title()}</h2>" if rng.random() < 0.3 else ""
            body.append(f"{heading}<p>{' '.join(rng.choices(vocabulary, k=words)).capitalize()}.</p>")
            left -= words
        near = {(number + step) % pages for step in (1, 2, 7)} if number else range(1, pages)
        links = "".join(f'<li><a href="/{to}.html">page {to}</a></li>' for to in near)
        return (
            f'<!doctype html><html lang="en"><head><title>{title}</title></head><body><nav><ul>{links}</ul></nav>'
            f"<main><h1>{title}</h1>{''.join(body)}</main><footer>all rights reserved</footer></body></html>"
        ).encode()

    return {"/" if number == 0 else f"/{number}.html": page(number) for number in range(pages)}


def documented(pages: int, seed: int) -> dict[str, bytes]:
    """Return consecutive pages of the real documentation, an index before them, links that lead out taken away."""
    files = sorted(documents.folder_of(documents.SITES[0]).glob("*.html"))
    first = random.Random(seed).randrange(len(files) - pages)
    chosen = {file.name: file.read_bytes() for file in files[first : first + pages - 1]}

    def kept(link: re.Match[bytes]) -> bytes:
        return link[0] if link[1].decode("ascii", "replace") in chosen else b'href="#"'

    index = "".join(f'<li><a href="/{name}">{name}</a></li>' for name in chosen)
    start = f"<!doctype html><title>A part of the manual</title><h1>A part of the manual</h1><ul>{index}</ul>"
    return {"/": start.encode(), **{f"/{name}": _LINK.sub(kept, body) for name, body in chosen.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet_sites", description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    told = {}
    for number, pages in enumerate(sizes(arguments.count, arguments.seed)):
        made = (documented if number % 4 == 3 else generated)(pages, arguments.seed * 1_000 + number)
        site = LocalSite(made, log=False)
        site.start()
        told[site.url("/")] = pages
    print(json.dumps(told), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
