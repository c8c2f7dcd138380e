"""More of the markups that extraction was developed with: those of shops, forums, agendas and utility classes."""

from __future__ import annotations

from html import escape
from typing import ClassVar

from benchmarks.text_markups import Divs, roles
from benchmarks.text_pages import Card, Part, Post


class Shop(Divs):
    order = ("title", "place", "teaser", "when")
    names: ClassVar[dict[str, str]] = roles("""
        header     class="page-header"
        nav        class="nav-sections"
        main       class="column main"
        sidebar    class="sidebar sidebar-additional"
        widget     class="filter-options-item"
        cards      class="products list items product-items"
        card       class="item product product-item"
        price      class="price-box"
        footer     class="page-footer"
        crumbs     class="breadcrumbs"
        related    class="block upsell products-upsell"
        comments   id="customer-reviews" class="review-list"
        cookie     class="message global cookie"
        newsletter class="block newsletter"
        share      class="product-social-links"
    """)
    tags: ClassVar[dict[str, str]] = roles("""
        header header
        nav    div
        cards  ol
        card   li
        footer footer
    """)

    def card(self, card: Card) -> str:
        inner = f'<a class="product-item-link" href="{card.link}">{escape(card.title)}</a>'
        label = f'<span class="badge">{card.label}</span>' if card.label else ""
        teaser = f"<div>{card.teaser}</div>" if card.teaser else ""
        place = f"<div>{card.place}</div>" if card.place else ""
        return self.element(
            "card",
            f'<a href="{card.link}"><img src="p.jpg" alt=""></a>{label}<strong>{inner}</strong>{place}{teaser}'
            f"{self.when(card)}"
            f'<button type="submit">{self.says("tickets")}</button>'
        )  # fmt: skip


class Board(Divs):
    """A forum: posts with a profile beside them."""

    names: ClassVar[dict[str, str]] = roles("""
        header   id="page-header"
        nav      class="navbar"
        main     id="page-body"
        post     class="post bg2"
        author   class="postprofile"
        sidebar  class="sidebar"
        footer   id="page-footer"
        crumbs   class="navlinks"
        pager    class="action-bar bar-bottom"
        comments class="replies"
        cards    class="topiclist topics"
        card     class="row bg1"
        related  class="similar-topics"
        cookie   class="cc-window cc-banner"
    """)
    tags: ClassVar[dict[str, str]] = roles("""
        cards ul
        card  li
    """)

    def post(self, post: Post) -> str:
        profile = (
            f'<dl class="postprofile"><dt><a href="/u/{post.author}">{post.author}</a></dt><dd>{post.date}</dd></dl>'
        )
        text = "<br><br>".join(map(self.inline, post.paragraphs))
        buttons = f'<ul class="post-buttons"><li><a href="#">{self.says("reply")}</a></li></ul>'
        body = f'<div class="postbody">{buttons}<div class="content">{text}</div></div>'
        names = f"post has-profile bg{self.random.randint(1, 2)}"
        return f'<div class="{names}"><div class="inner">{profile}{body}</div></div>'


class AgendaTheme(Divs):
    """Events grouped by day, a tile being one link."""

    names: ClassVar[dict[str, str]] = roles("""
        header   class="top"
        nav      class="mainmenu"
        main     class="page__content"
        sidebar  class="page__aside"
        footer   class="page__bottom"
        crumbs   class="path"
        related  class="more-items"
        comments class="guestbook"
        cookie   class="consent"
        share    class="socials"
    """)

    def grouped(self, parts: list[Part]) -> str:
        cards = [part for part in parts if isinstance(part, Card)]
        rest = super().grouped([part for part in parts if not isinstance(part, Card)])
        days = [cards[start : start + 4] for start in range(0, len(cards), 4)]
        return rest + "".join(f'<section class="day"><ul>{"".join(map(self.card, day))}</ul></section>' for day in days)

    def card(self, card: Card) -> str:
        lines = "".join(
            f"<span class='l{n}'>{text}</span>" for n, text in enumerate((card.when, card.place, card.teaser)) if text
        )
        return (
            f'<li class="event"><a href="{card.link}"><img src="e.jpg"><h4>{escape(card.title)}</h4>{lines}</a></li>\n'
        )


class Utilities(Divs):
    """Classes say how a part looks, and nothing of what it is."""

    names: ClassVar[dict[str, str]] = roles("""
        header   class="flex items-center justify-between px-4 py-2 bg-white"
        nav      class="hidden md:flex space-x-4"
        columns  class="grid grid-cols-12 gap-8"
        main     class="col-span-8 prose max-w-none"
        sidebar  class="col-span-4 space-y-6"
        footer   class="bg-gray-900 text-gray-300 p-8"
        cards    class="grid grid-cols-3 gap-4"
        card     class="rounded shadow-md p-4"
        related  class="mt-12 grid grid-cols-3"
        comments class="mt-12 divide-y"
        comment  class="py-4"
        cookie   class="fixed bottom-0 inset-x-0 p-4 bg-white"
        share    class="flex gap-2 mt-8"
        post     class="flex flex-col p-4 border-b"
    """)
    tags: ClassVar[dict[str, str]] = roles("""
        main   main
        footer footer
    """)
