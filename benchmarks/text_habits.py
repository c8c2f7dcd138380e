"""What differs from site to site of one markup: drawn for each page, so that no rule fits a markup by accident."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from benchmarks.text_pages import Card

ORDER = ("title", "when", "place", "teaser")


@dataclass(frozen=True)
class Habits:
    """How one site does it.

    Attributes:
        title: "h1", "h2", or "site" where the site's own name is an h1, and the page's title an h2.
        paragraph: "p", "div", or "br" for bare text.
        card: a name in `CARDS`; "own" is that of the markup.
        wrappers: elements without a name round the main part.
    """

    title: str
    paragraph: str
    card: str
    wrappers: int
    heads_are_headings: bool
    has_notice: bool
    has_copyright: bool
    has_advert: bool

    @classmethod
    def drawn(cls, random: Random) -> Habits:
        return cls(
            title=random.choices(["h1", "h2", "site"], [75, 12, 13])[0],
            paragraph=random.choices(["p", "div", "br"], [80, 10, 10])[0],
            card=random.choice(["own", "own", "own", *CARDS]),
            wrappers=random.choice([0, 0, 0, 1, 2]),
            heads_are_headings=random.random() < 0.75,
            has_notice=random.random() < 0.25,
            has_copyright=random.random() < 0.8,
            has_advert=random.random() < 0.2,
        )


def _tile(card: Card, _: str) -> str:
    lines = "".join(f"<div>{text}</div>" for text in (card.when, card.place, card.teaser) if text)
    return f'<a class="tile" href="{card.link}"><div class="t">{escape(card.title)}</div>{lines}</a>\n'


def _lines(card: Card, _: str) -> str:
    lines = "<br>".join(text for text in (card.when, card.place, card.teaser) if text)
    return f'<div><a href="{card.link}">{escape(card.title)}</a><br>{lines}</div>\n'


def _bare(card: Card, _: str) -> str:
    lines = "".join(f"<p>{text}</p>" for text in (card.when, card.place, card.teaser) if text)
    return f'<div class="entry"><strong>{escape(card.title)}</strong>{lines}</div>\n'


def _more(card: Card, more: str) -> str:
    lines = "".join(f"<p>{text}</p>" for text in (card.when, card.place, card.teaser) if text)
    return (
        f'<div class="teaser"><h3>{escape(card.title)}</h3>{lines}<a class="btn" href="{card.link}">{more}</a></div>\n'
    )


def _inline(card: Card, _: str) -> str:
    rest = "".join(f" – {text}" for text in (card.place, card.teaser) if text)
    return f'<li>{card.when}: <a href="{card.link}">{escape(card.title)}</a>{rest}</li>\n'


def _row(card: Card, _: str) -> str:
    cells = "".join(f"<td>{text}</td>" for text in (card.place, card.teaser))
    return f'<tr><td>{card.when}</td><td><a href="{card.link}">{escape(card.title)}</a></td>{cells}</tr>\n'


def _pair(card: Card, _: str) -> str:
    rest = "".join(f"<br>{text}" for text in (card.place, card.teaser) if text)
    return f'<dt>{card.when}</dt><dd><a href="{card.link}">{escape(card.title)}</a>{rest}</dd>\n'


WHEN_FIRST = ("when", "title", "place", "teaser")
CARDS: dict[str, tuple[Callable[[Card, str], str], str, tuple[str, ...]]] = {
    "tile": (_tile, "<div>{}</div>", ORDER),
    "lines": (_lines, "<div>{}</div>", ORDER),
    "bare": (_bare, "<div>{}</div>", ORDER),
    "more": (_more, "<div>{}</div>", ORDER),
    "inline": (_inline, "<ul>{}</ul>", WHEN_FIRST),
    "row": (_row, "<table>{}</table>", WHEN_FIRST),
    "pair": (_pair, "<dl>{}</dl>", WHEN_FIRST),
}
"""How a card is written, what stands round all of them, and the order of a card's lines."""
