"""The markups that extraction was not developed with: the final figures are those of these."""

from __future__ import annotations

from hashlib import blake2s
from html import escape
from typing import TYPE_CHECKING, ClassVar

from benchmarks.text_markups import Divs, Markup, roles
from benchmarks.text_pages import Card, Part, Post

if TYPE_CHECKING:
    from collections.abc import Iterable


class HashedClasses(Divs):
    """Names made by a build: the same role has the same name, and no name says anything."""

    def element(self, role: str, inner: str, tag: str = "div") -> str:
        name = blake2s(f"{self.page.site}{role}".encode(), digest_size=4).hexdigest()
        return f'<{tag} class="css-{name} e{name[:5]}0">{inner}</{tag}>' if inner else ""

    def paragraph(self, text: str) -> str:
        return f'<p class="css-{len(self.page.site)}p1">{self.inline(text)}</p>'


class DocBook(Divs):
    """Headers and footers of navigation are tables; sections are nested."""

    names: ClassVar[dict[str, str]] = roles("""
        header   class="navheader"
        main     class="sect1"
        footer   class="navfooter"
        sidebar  class="toc"
        crumbs   class="navheader"
        cards    class="itemizedlist"
        text     class="sect2"
        related  class="refsect-related"
        comments class="annotations"
    """)

    def heading(self, level: int, text: str) -> str:
        title = f'<h{level} class="title" style="clear: both">{escape(text)}</h{level}>'
        return f'<div class="titlepage"><div><div>{title}</div></div></div>'

    def definitions(self, pairs: Iterable[tuple[str, str]]) -> str:
        inner = "".join(
            f'<dt><span class="term"><code class="option">{term}</code></span></dt><dd>{self.paragraph(text)}</dd>'
            for term, text in pairs
        )
        return f'<div class="variablelist"><dl class="variablelist">{inner}</dl></div>'

    def code(self, text: str) -> str:
        return f'<pre class="programlisting">\n{escape(text)}\n</pre>'


class OldBoard(Divs):
    """A forum of tables: a row is a post, a cell its author."""

    names: ClassVar[dict[str, str]] = roles("""
        header   class="maintitle"
        nav      class="topmenu"
        main     class="forumline"
        footer   class="copyright"
        comments class="postrow"
        crumbs   class="nav"
        pager    class="gensmall"
    """)

    def grouped(self, parts: list[Part]) -> str:
        posts = [part for part in parts if isinstance(part, Post)]
        if not posts:
            return super().grouped(parts)
        rows = "".join(
            f'<tr><td class="row1" width="150"><b>{post.author}</b><br>{post.date}</td><td class="row1">'
            f'{"<br><br>".join(map(self.inline, post.paragraphs))}<hr><a href="#">{self.says("reply")}</a></td></tr>'
            for post in posts
        )
        return f'<table class="forumline" width="100%">{rows}</table>'

    def card(self, card: Card) -> str:
        return (
            f'<div class="topic"><a href="{card.link}" class="topictitle">{escape(card.title)}</a><br>{card.when}'
            f"{' - ' if card.place else ''}{card.place}{'<br>' if card.teaser else ''}{card.teaser}</div>"
        )


class Enterprise(Divs):
    """A content management system of offices: tables of contents, csc-default, definition lists as cards."""

    order = ("when", "title", "place", "teaser")

    names: ClassVar[dict[str, str]] = roles("""
        header   id="kopf"
        nav      id="hauptmenue"
        main     id="inhalt" class="csc-default item-page"
        sidebar  id="rechts"
        footer   id="fuss"
        crumbs   id="pfad"
        cards    class="csc-list"
        related  class="verwandt"
        comments class="gaestebuch"
        cookie   class="hinweis"
        share    class="teilen"
    """)

    def grouped(self, parts: list[Part]) -> str:
        cards = [part for part in parts if isinstance(part, Card)]
        rest = super().grouped([part for part in parts if not isinstance(part, Card)])
        inner = "".join(
            f'<dt>{card.when}</dt><dd><a href="{card.link}">{escape(card.title)}</a>'
            f"{'<br>' if card.place else ''}{card.place}{'<br>' if card.teaser else ''}{card.teaser}</dd>"
            for card in cards
        )
        return rest + (f'<dl class="csc-list">{inner}</dl>' if cards else "")


class Components(Markup):
    """Custom elements."""

    tags: ClassVar[dict[str, str]] = roles("""
        header   site-header
        nav      site-menu
        columns  page-layout
        main     page-content
        body     content-body
        sidebar  page-aside
        widget   side-box
        footer   site-footer
        crumbs   bread-crumbs
        related  related-items
        comments user-comments
        cards    card-grid
        card     event-card
        posts    message-list
        post     user-message
        pager    page-navigator
        share    share-bar
        cookie   cookie-notice
    """)

    def frame(self) -> str:
        return f"<app-root>{super().frame()}</app-root>"


class BlockElementModifier(Divs):
    """BEM names and ARIA roles."""

    order = ("when", "title", "place", "teaser")

    names: ClassVar[dict[str, str]] = roles("""
        header   class="c-masthead" role="banner"
        nav      class="c-masthead__nav" role="navigation"
        main     class="l-page__main" role="main"
        body     class="c-article"
        text     class="c-article__body"
        sidebar  class="l-page__aside" role="complementary"
        footer   class="c-site-foot" role="contentinfo"
        crumbs   class="c-crumbs" role="navigation"
        cards    class="c-results"
        card     class="c-results__hit c-hit"
        date     class="c-hit__date"
        related  class="c-article__related"
        comments class="c-discussion"
        comment  class="c-discussion__entry"
        share    class="c-article__share"
        pager    class="c-pager" role="navigation"
        cookie   class="c-cookie-wall" role="dialog"
        post     class="c-thread__entry"
        tags     class="c-article__tags"
    """)

    def card(self, card: Card) -> str:
        title = f'<div class="c-hit__title">{escape(card.title)}</div>'
        lines = "".join(f'<div class="c-hit__line">{text}</div>' for text in (card.place, card.teaser) if text)
        return f'<a class="c-results__hit c-hit" href="{card.link}">{self.when(card)}{title}{lines}</a>'


MARKUPS: dict[str, type[Markup]] = {
    each.__name__: each for each in (HashedClasses, DocBook, OldBoard, Enterprise, Components, BlockElementModifier)
}
