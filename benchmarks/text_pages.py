"""Generated pages with their truth: which text is what the page is about, and which stands around it.

`page(kind, writer)` decides what a page says, `benchmarks.text_markups` how it is marked up. What is neither main text
nor boilerplate (a byline, a caption, the name of who wrote a post) is neutral: it may be kept or left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.text_words import Writer

KINDS = ("article", "listing", "documentation", "table", "thread", "shell")


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Items:
    """A list; an item is its text and the texts of the list nested in it."""

    items: tuple[tuple[str, tuple[str, ...]], ...]
    ordered: bool = False


@dataclass(frozen=True)
class Code:
    text: str


@dataclass(frozen=True)
class Definitions:
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DataTable:
    """Rows of cells, the first being the header."""

    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Quote:
    text: str


@dataclass(frozen=True)
class Byline:
    """Neutral: author and date of an article."""

    author: str
    date: str


@dataclass(frozen=True)
class Card:
    """One of a listing. `when` is its date or price; place, teaser and label (neutral) may be ""."""

    title: str
    when: str
    place: str
    teaser: str
    link: str
    label: str


@dataclass(frozen=True)
class Post:
    """One of a thread; author and date are neutral."""

    author: str
    date: str
    paragraphs: tuple[str, ...]


Part = Heading | Paragraph | Items | Code | Definitions | DataTable | Quote | Byline | Card | Post


@dataclass
class Around:
    """The boilerplate of a page: what is "" or empty is not there."""

    navigation: list[tuple[str, list[str]]]
    footer: list[str]
    about: str
    breadcrumbs: list[str] = field(default_factory=list)
    sidebar: list[tuple[str, list[str]]] = field(default_factory=list)
    cookie: str = ""
    consent: list[str] = field(default_factory=list)
    newsletter: str = ""
    share: str = ""
    related: list[tuple[str, str]] = field(default_factory=list)
    related_heading: str = ""
    comments: list[Post] = field(default_factory=list)
    comments_heading: str = ""
    hidden: str = ""
    notice: str = ""
    advert: str = ""
    pager: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


@dataclass
class Page:
    kind: str
    language: str
    title: str
    site: str
    parts: list[Part]
    around: Around
    writer: Writer

    @property
    def cards(self) -> list[Card]:
        return [part for part in self.parts if isinstance(part, Card)]

    def truth(self, order: tuple[str, ...]) -> list[str]:
        """Return the main text in order, a string for each part; `order` is that of a card's fields."""
        return [text for part in self.parts if (text := main_text(part, order))]

    def neutral(self) -> list[str]:
        """Return the phrases that count neither way."""
        found: list[str] = []
        for part in self.parts:
            match part:
                case Byline(author, date) | Post(author, date):
                    found += [f"{author} {date}", f"{date} {author}", author, date]
                case Card(label=label):
                    found += [label, *self.writer.language.says["more"], *self.writer.language.says["tickets"]]
        return [phrase for phrase in dict.fromkeys(found) if phrase]


def main_text(part: Part, order: tuple[str, ...]) -> str:
    """Return the words of a part that are what the page is about."""
    match part:
        case Heading(_, text) | Paragraph(text) | Code(text) | Quote(text):
            return text
        case Items(items):
            return " ".join(" ".join((text, *inner)) for text, inner in items)
        case Definitions(pairs):
            return " ".join(f"{term} {text}" for term, text in pairs)
        case DataTable(rows):
            return " ".join(" ".join(row) for row in rows)
        case Card():
            return " ".join(filter(None, (getattr(part, name) for name in order)))
        case Post(paragraphs=paragraphs):
            return " ".join(paragraphs)
        case Byline():
            return ""


def make_page(kind: str, writer: Writer) -> Page:
    """Write a page of a kind, and what stands around it."""
    title = writer.title()
    site = f"{writer.name()} {writer.noun()}"
    parts: list[Part] = [Heading(1, title), *_KINDS[kind](writer)] if kind != "shell" else []
    return Page(kind, writer.language.code, title, site, parts, _around(kind, writer), writer)


def _article(writer: Writer) -> list[Part]:
    random = writer.random
    parts: list[Part] = [Byline(f"{writer.name()} {writer.name()}", writer.date())] if random.random() < 0.7 else []
    parts += [Paragraph(writer.paragraph()) for _ in range(random.randint(1, 3))]
    for _ in range(random.randint(0, 4)):
        parts.append(Heading(2, writer.title()))
        parts += [Paragraph(writer.paragraph(1, 5)) for _ in range(random.randint(1, 3))]
        parts += random.choice([[], [], [_items(writer)], [Quote(writer.sentence())]])
    return parts


def _listing(writer: Writer) -> list[Part]:
    random = writer.random
    intro: list[Part] = [Paragraph(writer.paragraph(1, 2))] if random.random() < 0.5 else []
    has_place, has_teaser, has_label = random.random() < 0.6, random.random() < 0.6, random.random() < 0.4
    is_shop = random.random() < 0.4
    cards = []
    for number in range(random.randint(4, 30)):
        title = writer.title()
        folder, name = "product" if is_shop else "event", "-".join(title.lower().replace(":", "").split())
        cards.append(
            Card(
                title=title,
                when=writer.price() if is_shop else writer.date(),
                place=f"{writer.noun().capitalize()} {writer.name()}" if has_place else "",
                teaser=writer.sentence() if has_teaser and random.random() < 0.9 else "",
                link=f"/{folder}/{number}-{name}",
                label=writer.noun().capitalize() if has_label else "",
            )
        )
    return [*intro, *cards]


def _documentation(writer: Writer) -> list[Part]:
    random = writer.random
    parts: list[Part] = [Paragraph(writer.paragraph())]
    for _ in range(random.randint(2, 5)):
        parts.append(Heading(2, writer.title()))
        for _ in range(random.randint(2, 5)):
            parts.append(
                random.choice(
                    [
                        lambda: Paragraph(writer.paragraph(1, 3)),
                        lambda: Code(_code(writer)),
                        lambda: _items(writer),
                        lambda: Definitions(
                            tuple((writer.noun() + "_" + writer.noun(), writer.paragraph(1, 2)) for _ in range(3))
                        ),
                        lambda: _data_table(writer, 4),
                        lambda: Heading(3, writer.title()),
                    ]
                )()
            )
    return parts


def _table(writer: Writer) -> list[Part]:
    tables = [_data_table(writer, writer.random.randint(8, 40)) for _ in range(writer.random.randint(1, 3))]
    parts: list[Part] = [Paragraph(writer.paragraph(1, 2))]
    for table in tables:
        parts += [Heading(2, writer.title()), table] if len(tables) > 1 else [table]
    return parts


def _thread(writer: Writer) -> list[Part]:
    random = writer.random
    authors = [writer.name() for _ in range(4)]
    return [
        Post(
            random.choice(authors),
            writer.date(),
            tuple(writer.paragraph(1, 4) for _ in range(random.choice([1, 1, 2, 3]))),
        )
        for _ in range(random.randint(3, 15))
    ]


_KINDS: dict[str, Callable[[Writer], list[Part]]] = {
    "article": _article,
    "listing": _listing,
    "documentation": _documentation,
    "table": _table,
    "thread": _thread,
}


def _items(writer: Writer) -> Items:
    short = writer.random.random() < 0.4
    text = writer.title if short else writer.sentence
    items = tuple(
        (text(), tuple(text() for _ in range(writer.random.choice([0, 0, 0, 2]))))
        for _ in range(writer.random.randint(3, 6))
    )
    return Items(items, ordered=writer.random.random() < 0.3)


def _code(writer: Writer) -> str:
    lines = [
        f"SELECT {writer.noun()}_{writer.noun()}",
        f"  FROM {writer.noun()}",
        f" WHERE {writer.noun()} = '{writer.name()}';",
    ]
    return "\n".join(lines[: writer.random.randint(1, 3)])


def _data_table(writer: Writer, rows: int) -> DataTable:
    columns = writer.random.randint(3, 5)
    header = tuple(writer.noun().capitalize() for _ in range(columns))
    body = (
        (writer.title(), *(writer.random.choice([writer.price(), writer.date(), writer.name()]) for _ in header[1:]))
        for _ in range(rows)
    )
    return DataTable((header, *body))


def _around(kind: str, writer: Writer) -> Around:
    random = writer.random

    def maybe(chance: float) -> bool:
        return random.random() < chance

    navigation = [
        (
            text,
            [writer.title() if maybe(0.3) else writer.noun().capitalize() for _ in range(random.choice([0, 0, 3, 6]))],
        )
        for text in writer.some("nav", random.randint(4, 8))
    ]
    footer = [*writer.some("footer", 4), *(writer.noun().capitalize() for _ in range(random.randint(0, 12)))]
    around = Around(navigation, footer, about=writer.paragraph(1, 2) if maybe(0.5) else "")
    around.cookie = writer.says("cookie") if maybe(0.5) else ""
    around.consent = list(writer.language.says["consent"])
    around.newsletter = writer.says("newsletter") if maybe(0.4) else ""
    around.notice, around.advert = writer.paragraph(1, 2), writer.sentence()
    around.hidden = writer.paragraph(1, 3) if maybe(0.3) else ""
    if kind == "shell":
        return around
    around.breadcrumbs = [writer.says("nav"), writer.noun().capitalize(), writer.title()] if maybe(0.6) else []
    if maybe(0.6):
        around.sidebar = [
            (
                writer.title() if maybe(0.3) else writer.says("related"),
                [writer.title() for _ in range(random.randint(3, 8))],
            )
            for _ in range(random.randint(1, 3))
        ]
    around.pager = [writer.says("previous"), writer.says("next")] if maybe(0.5) else []
    if kind == "article":
        around.share = writer.says("share") if maybe(0.5) else ""
        around.tags = [writer.noun() for _ in range(random.randint(2, 6))] if maybe(0.4) else []
        if maybe(0.6):
            around.related_heading = writer.says("related")
            with_teaser = maybe(0.5)
            around.related = [
                (writer.title(), writer.sentence() if with_teaser else "") for _ in range(random.randint(3, 6))
            ]
        if maybe(0.4):
            around.comments_heading = writer.says("comments")
            around.comments = [
                Post(writer.name(), writer.date(), (writer.paragraph(1, 2),)) for _ in range(random.randint(1, 6))
            ]
    return around
