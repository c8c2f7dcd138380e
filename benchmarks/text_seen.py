"""The markups that extraction was developed with."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, ClassVar

from benchmarks.text_markups import Divs, Markup, roles
from benchmarks.text_pages import Card, Part
from benchmarks.text_seen_themes import AgendaTheme, Board, Shop, Utilities

if TYPE_CHECKING:
    from collections.abc import Iterable


class Semantic(Markup):
    """HTML5 as it is meant, without a class."""


class NamedDivs(Divs):
    names: ClassVar[dict[str, str]] = roles("""
        header     id="header"
        nav        id="menu"
        main       id="content"
        sidebar    id="sidebar"
        footer     id="footer"
        crumbs     class="breadcrumb"
        related    class="related"
        comments   id="comments"
        share      class="share"
        cookie     id="cookiebar"
        card       class="item"
        cards      class="list"
        widget     class="box"
        pager      class="pager"
        tags       class="tags"
        newsletter class="newsletter"
        post       class="message"
        byline     class="date"
    """)


class NamelessDivs(Divs):
    """No names at all: only what stands where, and how much of it is links, says what a part is."""

    def frame(self) -> str:
        return f"<div>{super().frame()}</div>"


class LayoutTables(Divs):
    """Tables for the layout, fonts for the headings, line breaks for the paragraphs."""

    order = ("when", "title", "place", "teaser")

    def frame(self) -> str:
        left = f'<td width="160" valign="top">{self.navigation()}{self.sidebar()}</td>'
        page = f'<table width="100%"><tr>{left}<td valign="top">{self.crumbs()}{self.main()}</td></tr></table>'
        top = f'<table width="100%"><tr><td><img src="logo.gif"> <b>{escape(self.page.site)}</b></td></tr></table>'
        self._cookie_is_late = False
        return f"<center>{top}{page}<table><tr><td>{self.after()}</td></tr></table></center>"

    def navigation(self) -> str:
        return "<br>".join(f'<a href="/{n}">{text}</a>' for n, (text, _) in enumerate(self.page.around.navigation))

    def heading(self, level: int, text: str) -> str:
        return super().heading(level, text) if level == 1 else f"<b><font size=4>{escape(text)}</font></b><br>"

    def paragraph(self, text: str) -> str:
        return f"<font face=Arial>{self.inline(text)}</font><br><br>\n"

    def table(self, rows: tuple[tuple[str, ...], ...]) -> str:
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        return f"<table border=1 cellpadding=2>{body}</table>"

    def grouped(self, parts: list[Part]) -> str:
        cards = [part for part in parts if isinstance(part, Card)]
        if not cards:
            return super().grouped(parts)
        rows = "".join(
            f'<tr><td nowrap>{card.when}</td><td><a href="{card.link}">{escape(card.title)}</a></td>'
            f"<td>{card.place}</td><td>{card.teaser}</td></tr>\n"
            for card in cards
        )
        rest = super().grouped([part for part in parts if not isinstance(part, Card)])
        return f"{rest}<table border=0>{rows}</table>"


class WordPress(Markup):
    """A classic theme: hentry, entry-content, widgets."""

    names: ClassVar[dict[str, str]] = roles("""
        header   id="masthead" class="site-header"
        nav      id="site-navigation" class="main-navigation"
        main     id="primary" class="content-area"
        body     class="post-12 post type-post hentry category-news"
        text     class="entry-content"
        sidebar  id="secondary" class="widget-area"
        widget   class="widget widget_recent_entries"
        footer   id="colophon" class="site-footer"
        crumbs   class="breadcrumbs"
        related  class="jp-relatedposts"
        comments id="comments" class="comments-area"
        comment  class="comment even thread-even depth-1"
        card     class="post type-post hentry"
        share    class="sharedaddy sd-sharing-enabled"
        tags     class="tags-links"
        pager    class="navigation posts-navigation"
        cookie   id="cookie-law-info-bar"
        byline   class="entry-meta"
        date     class="posted-on"
        skip     class="skip-link screen-reader-text"
    """)

    def body_names(self) -> str:
        return ' class="home blog custom-background has-sidebar"'


class WordPressBlocks(Divs):
    names: ClassVar[dict[str, str]] = roles("""
        header   class="wp-block-template-part"
        nav      class="wp-block-navigation is-responsive"
        columns  class="wp-block-columns is-layout-flex"
        main     class="wp-block-group is-layout-constrained" id="wp--skip-link--target"
        text     class="entry-content wp-block-post-content is-layout-flow"
        cards    class="wp-block-query"
        card     class="wp-block-post post type-post"
        date     class="wp-block-post-date"
        footer   class="wp-block-template-part site-footer"
        sidebar  class="wp-block-column"
        widget   class="wp-block-group"
        related  class="wp-block-query related-posts"
        comments class="wp-block-comments"
        share    class="wp-block-social-links"
        pager    class="wp-block-post-navigation-link"
        cookie   class="cmplz-cookiebanner"
        tags     class="wp-block-post-terms"
        byline   class="wp-block-post-author"
    """)
    tags: ClassVar[dict[str, str]] = roles("""
        header header
        nav    nav
        main   main
        footer footer
        card   li
        cards  ul
    """)


class Drupal(Divs):
    names: ClassVar[dict[str, str]] = roles("""
        header   class="region region-header"
        nav      role="navigation" class="block block-menu menu--main"
        main     class="region region-content"
        body     class="node node--type-page node--view-mode-full"
        text     class="field field--name-body field--type-text-with-summary"
        sidebar  class="region region-sidebar-second"
        widget   class="block block-views"
        footer   class="region region-footer"
        crumbs   class="breadcrumb" role="navigation"
        cards    class="view-content"
        card     class="views-row"
        date     class="views-field views-field-field-date"
        place    class="views-field views-field-field-place"
        related  class="views-element-container block-views-blockrelated"
        comments class="comment-wrapper field--name-comment"
        comment  class="comment js-comment"
        cookie   id="sliding-popup" class="eu-cookie-compliance-banner"
        share    class="block-addtoany"
        pager    class="pager" role="navigation"
        byline   class="node__submitted"
        post     class="comment forum-post"
        tags     class="field--name-field-tags"
    """)

    def card(self, card: Card) -> str:
        return (
            super().card(card).replace('class="views-row"', f'class="views-row views-row-{self.random.randint(1, 30)}"')
        )


class Bootstrap(Divs):
    names: ClassVar[dict[str, str]] = roles("""
        header   class="navbar navbar-expand-lg navbar-light bg-light"
        nav      class="collapse navbar-collapse"
        columns  class="container row"
        main     class="col-md-8"
        sidebar  class="col-md-4"
        widget   class="card mb-4"
        footer   class="bg-dark text-white py-5"
        crumbs   aria-label="breadcrumb"
        cards    class="row row-cols-3 g-4"
        card     class="card-body"
        date     class="card-subtitle text-muted"
        related  class="row mt-5"
        comments class="mt-5 mb-5"
        comment  class="media mb-4"
        cookie   class="alert alert-dismissible fixed-bottom" role="alert"
        teaser   class="col-sm-4"
        share    class="btn-group"
        post     class="card mb-3"
        byline   class="lead text-muted"
    """)
    tags: ClassVar[dict[str, str]] = roles("""
        nav    div
        header nav
        footer footer
    """)

    def card(self, card: Card) -> str:
        image = '<img src="x.jpg" class="card-img-top">'
        return f'<div class="col"><div class="card h-100">{image}{super().card(card)}</div></div>'


class Sphinx(Divs):
    names: ClassVar[dict[str, str]] = roles("""
        header  class="related" role="navigation" aria-label="related navigation"
        columns class="document"
        body    class="body" role="main"
        main    class="documentwrapper"
        sidebar class="sphinxsidebar" role="navigation" aria-label="main navigation"
        footer  class="footer"
        crumbs  class="related"
        text
        related class="topic"
    """)

    def heading(self, level: int, text: str) -> str:
        return (
            f'<h{level}>{escape(text)}<a class="headerlink" href="#x" title="Link to this heading">¶</a></h{level}>\n'
        )

    def code(self, text: str) -> str:
        spans = " ".join(f'<span class="n">{escape(word)}</span>' if word else "" for word in text.split(" "))
        code = f"<pre><span></span>{spans}\n</pre>"
        return f'<div class="highlight-sql notranslate"><div class="highlight">{code}</div></div>'

    def definitions(self, pairs: Iterable[tuple[str, str]]) -> str:
        return "".join(
            '<dl class="py function"><dt class="sig sig-object py">'
            f'<span class="sig-name descname"><span class="pre">{term}</span></span>'
            f'<a class="headerlink" href="#x">¶</a></dt><dd>{self.paragraph(text)}</dd></dl>'
            for term, text in pairs
        )


class MkDocs(Divs):
    names: ClassVar[dict[str, str]] = roles("""
        header     class="md-header" data-md-component="header"
        nav        class="md-tabs" aria-label="Tabs"
        columns    class="md-main__inner md-grid"
        main       class="md-content" data-md-component="content"
        body       class="md-content__inner md-typeset"
        sidebar    class="md-sidebar md-sidebar--primary"
        footer     class="md-footer"
        crumbs     class="md-path"
        cookie     class="md-consent"
        pager      class="md-footer__inner"
        comments   id="__comments"
        related    class="md-related"
        share      class="md-social"
        tags       class="md-tags"
        newsletter class="md-banner"
    """)
    tags: ClassVar[dict[str, str]] = roles("""
        header header
        nav    nav
        body   article
        footer footer
        crumbs nav
    """)

    def code(self, text: str) -> str:
        row = f'<tr><td class="linenos"></td><td class="code">{super().code(text)}</td></tr>'
        return f'<div class="highlight"><table class="highlighttable">{row}</table></div>'

    def table(self, rows: tuple[tuple[str, ...], ...]) -> str:
        return f'<div class="md-typeset__scrollwrap"><div class="md-typeset__table">{super().table(rows)}</div></div>'


MARKUPS: dict[str, type[Markup]] = {
    each.__name__: each
    for each in (
        Semantic, NamedDivs, NamelessDivs, LayoutTables, WordPress, WordPressBlocks, Drupal, Bootstrap, Sphinx, MkDocs,
        Shop, Board, AgendaTheme, Utilities,
    )
}  # fmt: skip
