"""A generated page as HTML: what all markups share. A markup says which tags and names stand for which part.

`Markup` itself is semantic HTML5 without any class; the markups override what they do otherwise.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, ClassVar

from benchmarks.text_habits import CARDS, ORDER, Habits
from benchmarks.text_pages import (
    Byline,
    Card,
    Code,
    DataTable,
    Definitions,
    Heading,
    Items,
    Paragraph,
    Part,
    Post,
    Quote,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.text_pages import Page

_SCRIPT = "<script>window.dataLayer=window.dataLayer||[];function track(){dataLayer.push(arguments)}</script>"


def roles(table: str) -> dict[str, str]:
    """Return what stands for each role, from lines of a role and its tag or attributes."""
    lines = (line.split(maxsplit=1) for line in table.strip().splitlines())
    return {role: rest[0] if rest else "" for role, *rest in lines}


class Markup:
    """One way in which sites are marked up. `names` maps a role to the attributes of its element.

    `order` is that of a card's lines on the page: what is kept in another order is not kept.
    """

    order: tuple[str, ...] = ORDER

    names: ClassVar[dict[str, str]] = {}
    tags: ClassVar[dict[str, str]] = roles("""
        header   header
        nav      nav
        main     main
        body     article
        sidebar  aside
        widget   section
        footer   footer
        crumbs   nav
        related  section
        comments section
        cards    div
        card     article
        posts    div
        post     article
        pager    nav
        share    div
        cookie   div
    """)

    def __init__(self, page: Page) -> None:
        self.page = page
        self.random = page.writer.random
        self.says = page.writer.says
        self.habits = Habits.drawn(self.random)

    def html(self) -> str:
        """Return the page. What is random in it is drawn once: call it once."""
        page = self.page
        head = (
            f'<meta charset="utf-8"><title>{escape(page.title)} | {escape(page.site)}</title>'
            '<meta name="viewport" content="width=device-width"><style>.a{color:red}</style>' + _SCRIPT
        )
        body = self.frame() if page.kind != "shell" else self.shell()
        body = f"<body{self.body_names()}>{body}</body>"
        return f'<!DOCTYPE html><html lang="{page.language}"><head>{head}</head>{body}</html>'

    def body_names(self) -> str:
        return ""

    def element(self, role: str, inner: str, tag: str = "div") -> str:
        if not inner:
            return ""
        tag = self.tags.get(role, tag)
        names = self.names.get(role, "")
        return f"<{tag}{' ' + names if names else ''}>{inner}</{tag}>\n"

    # The frame

    def frame(self) -> str:
        columns = [self.main(), self.sidebar()]
        if self.random.random() < 0.2:
            columns.reverse()
        return self.before() + self.element("columns", "".join(columns)) + self.after()

    def shell(self) -> str:
        text = self.says("shell")
        shown = text if self.random.random() < 0.5 else ""
        root = f'<div id="{self.random.choice(["root", "app", "__next"])}"><div>{shown}</div></div>'
        around = (self.before(), self.after()) if self.random.random() < 0.5 else ("", "")
        return f"{around[0]}{root}<noscript>{text}</noscript>{around[1]}{_SCRIPT}"

    def before(self) -> str:
        around = self.page.around
        cookie = self.element("cookie", self.cookie()) if around.cookie and self.random.random() < 0.5 else ""
        skip = f'<a href="#content"{" " + self.names["skip"] if "skip" in self.names else ""}>{self.says("skip")}</a>\n'
        logo = f'<a href="/"><img src="/logo.svg" alt="{self.page.site}"></a>'
        self._cookie_is_late = bool(around.cookie) and not cookie
        hidden = f'<div style="display:none">{self.paragraph(around.hidden)}</div>' if around.hidden else ""
        header = self.element("header", self.element("brand", logo + self.site()) + self.navigation())
        return cookie + skip + header + hidden + self.crumbs()

    def site(self) -> str:
        name = escape(self.page.site)
        return f"<h1>{name}</h1>" if self.habits.title == "site" else name

    def after(self) -> str:
        around = self.page.around
        links = self.links(around.footer)
        about = self.paragraph(around.about) if around.about else ""
        owner = f"<p>© 2026 {self.page.site}</p>" if self.habits.has_copyright else f"<p>{self.page.site}</p>"
        newsletter = self.element(
            "newsletter", self.paragraph(around.newsletter) + '<form><input type="email"><button>OK</button></form>'
        )
        footer = self.element("footer", (newsletter if around.newsletter else "") + about + links + owner)
        return footer + (self.element("cookie", self.cookie()) if self._cookie_is_late else "") + _SCRIPT

    def cookie(self) -> str:
        buttons = "".join(f"<button>{text}</button>" for text in self.page.around.consent)
        return f"<p>{self.page.around.cookie} <a href='/privacy'>{self.says('more')}</a></p>{buttons}"

    def navigation(self) -> str:
        items = "".join(
            f'<li><a href="/{number}">{escape(text)}</a>{self.links(inner, f"/{number}") if inner else ""}</li>'
            for number, (text, inner) in enumerate(self.page.around.navigation)
        )
        return self.element("nav", f"<ul>{items}</ul>")

    def crumbs(self) -> str:
        return (
            self.element("crumbs", self.links(self.page.around.breadcrumbs, "/c"))
            if self.page.around.breadcrumbs
            else ""
        )

    def sidebar(self) -> str:
        widgets = (
            self.element("widget", f"<h3>{escape(title)}</h3>{self.links(links, '/s')}")
            for title, links in self.page.around.sidebar
        )
        notice = self.paragraph(self.page.around.notice) if self.habits.has_notice and self.page.around.sidebar else ""
        return self.element("sidebar", "".join(widgets) + (self.element("widget", notice) if notice else ""))

    def links(self, texts: Iterable[str], folder: str = "/l") -> str:
        items = "".join(f'<li><a href="{folder}/{n}">{escape(text)}</a></li>' for n, text in enumerate(texts))
        return f"<ul>{items}</ul>"

    # The main part

    def main(self) -> str:
        return self.element("main", self.body() + self.below())

    def body(self) -> str:
        heading, *parts = self.page.parts
        body = self.element("body", self.part(heading) + self.grouped(parts) + self.tail())
        return "<div>" * self.habits.wrappers + body + "</div>" * self.habits.wrappers

    def tail(self) -> str:
        """Return what stands inside the main part and is none of it."""
        around = self.page.around
        share = "".join(
            f'<a href="https://{name}.example/share">{name}</a> ' for name in ("Facebook", "LinkedIn", "Mastodon")
        )
        tags = self.element("tags", "".join(f'<a href="/tag/{tag}">{tag}</a> ' for tag in around.tags))
        return (self.element("share", f"<span>{around.share}</span> {share}") if around.share else "") + tags

    def below(self) -> str:
        around = self.page.around
        found = ""
        if around.pager:
            previous, following = around.pager
            found += self.element("pager", f'<a href="?p=1">{previous}</a> <a href="?p=3">{following}</a>')
        if around.related:
            cards = "".join(
                self.element(
                    "teaser", f'<h4><a href="/r/{n}">{escape(title)}</a></h4>' + (self.paragraph(text) if text else "")
                )
                for n, (title, text) in enumerate(around.related)
            )
            found += self.element("related", self.head(around.related_heading) + cards)
        if around.comments:
            posts = "".join(self.comment(post) for post in around.comments)
            found += self.element("comments", self.head(around.comments_heading) + posts)
        return found

    def head(self, text: str) -> str:
        return f"<h3>{text}</h3>" if self.habits.heads_are_headings else f"<div><b>{text}</b></div>"

    def comment(self, post: Post) -> str:
        text = "".join(map(self.paragraph, post.paragraphs))
        return self.element(
            "comment", f"<b>{post.author}</b> <span>{post.date}</span>{text}<a href='#r'>{self.says('reply')}</a>"
        )

    def grouped(self, parts: list[Part]) -> str:
        cards = [part for part in parts if isinstance(part, Card)]
        posts = [part for part in parts if isinstance(part, Post)]
        others = ""
        for number, part in enumerate(part for part in parts if not isinstance(part, Card | Post)):
            others += self.part(part)
            if number == 1 and self.habits.has_advert and self.page.kind == "article":
                others += f'<div class="ad-slot"><p>{self.page.around.advert}</p></div>'
        others = self.element("text", others) if others and not cards and not posts else others
        if cards and self.habits.card in CARDS:
            write, frame, self.order = CARDS[self.habits.card]
            others += frame.format("".join(write(card, self.says("more")) for card in cards))
        elif cards:
            others += self.element("cards", "".join(self.card(card) for card in cards))
        if posts:
            others += self.element("posts", "".join(self.post(post) for post in posts))
        return others

    def part(self, part: Part) -> str:
        match part:
            case Heading(level, text):
                return self.heading(level, text)
            case Paragraph(text):
                return self.paragraph(text)
            case Items():
                return self.items(part)
            case Code(text):
                return self.code(text)
            case Definitions(pairs):
                return self.definitions(pairs)
            case DataTable(rows):
                return self.table(rows)
            case Quote(text):
                return f"<blockquote><p>{escape(text)}</p></blockquote>\n"
            case Byline(author, date):
                return self.element("byline", f'<span>{author}</span> <time datetime="2026-11-22">{date}</time>')
            case _:
                raise TypeError(part)

    def heading(self, level: int, text: str) -> str:
        level += self.habits.title != "h1"
        return f"<h{level}>{escape(text)}</h{level}>\n"

    def inline(self, text: str) -> str:
        """Return a text with some of its words marked up."""
        words = escape(text, quote=False).split(" ")
        for number in range(len(words)):
            chance = self.random.random()
            if chance < 0.02:
                words[number] = f'<a href="/w/{number}">{words[number]}</a>'
            elif chance < 0.04:
                words[number] = f"<em>{words[number]}</em>" if chance < 0.03 else f"<strong>{words[number]}</strong>"
        return " ".join(words)

    def paragraph(self, text: str) -> str:
        tag = self.habits.paragraph
        return f"{self.inline(text)}<br><br>\n" if tag == "br" else f"<{tag}>{self.inline(text)}</{tag}>\n"

    def items(self, part: Items) -> str:
        tag = "ol" if part.ordered else "ul"
        found = ""
        for text, inner in part.items:
            nested = "".join(f"<li>{self.inline(each)}</li>" for each in inner)
            found += f"<li>{self.inline(text)}{f'<ul>{nested}</ul>' if nested else ''}</li>\n"
        return f"<{tag}>{found}</{tag}>\n"

    def code(self, text: str) -> str:
        return f"<pre><code>{escape(text)}</code></pre>\n"

    def definitions(self, pairs: Iterable[tuple[str, str]]) -> str:
        inner = (f"<dt><code>{term}</code></dt><dd>{self.paragraph(text)}</dd>" for term, text in pairs)
        return f"<dl>{''.join(inner)}</dl>\n"

    def table(self, rows: tuple[tuple[str, ...], ...]) -> str:
        head = "".join(f"<th>{cell}</th>" for cell in rows[0])
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows[1:])
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>\n"

    def card(self, card: Card) -> str:
        label = self.element("label", card.label, "span") if card.label else ""
        place = self.element("place", card.place, "span") if card.place else ""
        teaser = self.paragraph(card.teaser) if card.teaser else ""
        title = f'<h3><a href="{card.link}">{escape(card.title)}</a></h3>'
        return self.element("card", f"{label}{title}{self.when(card)}{place}{teaser}{self.action(card)}")

    def when(self, card: Card) -> str:
        return self.element("price" if card.when.startswith("€") else "date", card.when, "span")

    def action(self, card: Card) -> str:
        text = self.says("tickets" if card.when.startswith("€") else "more")
        return f'<a href="{card.link}">{text}</a>' if self.random.random() < 0.9 else ""

    def post(self, post: Post) -> str:
        text = "".join(map(self.paragraph, post.paragraphs))
        meta = self.element("author", f"<b>{post.author}</b> <span>{post.date}</span>")
        return self.element("post", f"{meta}{text}<div><a href='#q'>{self.says('reply')}</a></div>")


class Divs(Markup):
    """Divs only; what they are called is all there is."""

    tags: ClassVar[dict[str, str]] = {}
