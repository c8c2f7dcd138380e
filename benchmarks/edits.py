"""Edits of a page's HTML that keep it a page: a word, a paragraph, a link, markup that is no text."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

import lxml.etree
import lxml.html

if TYPE_CHECKING:
    from random import Random

    from lxml.html import HtmlElement

READABLE = 60  # characters of a paragraph that is worth editing


def edit_word(tree: HtmlElement, rng: Random, word: str) -> bool:
    """Put `word` in the place of another one. Like all edits, return False when the page has no such place."""
    found = [(each, match) for each in _paragraphs(tree) for match in re.finditer(r"[A-Za-z]{4,}", each.text or "")]
    if not found:
        return False
    paragraph, match = rng.choice(found)
    paragraph.text = paragraph.text[: match.start()] + word + paragraph.text[match.end() :]
    return True


def add_after(tree: HtmlElement, rng: Random, html: str) -> bool:
    """Put an element after a paragraph."""
    if not (paragraphs := _paragraphs(tree)):
        return False
    rng.choice(paragraphs).addnext(lxml.html.fragment_fromstring(html))
    return True


def add_link(tree: HtmlElement, rng: Random, path: str) -> bool:
    """Put a paragraph with a link after another one."""
    text = f'<p>Readers of this page have also found <a href="{escape(path)}">what is said elsewhere</a> of use.</p>'
    return add_after(tree, rng, text)


def move_paragraph(tree: HtmlElement, rng: Random) -> bool:
    """Put a paragraph before another one."""
    if len(paragraphs := _paragraphs(tree)) < 2:
        return False
    moved, other = rng.sample(paragraphs, 2)
    _cut(moved)
    other.addprevious(moved)
    return True


def remove_paragraph(tree: HtmlElement, rng: Random) -> bool:
    """Take a paragraph away from a page that has some left."""
    if len(paragraphs := _paragraphs(tree)) < 3:
        return False
    _cut(rng.choice(paragraphs))
    return True


def with_nonce(html: str, nonce: str) -> str:
    """Return a page with another comment and another nonce."""
    tree = tree_of(html)
    tree.body.set("data-nonce", nonce)
    tree.body.append(lxml.etree.Comment(f" served by {nonce} "))
    return html_of(tree)


def with_head(html: str, element: str) -> str:
    """Return a page with one more element in its head."""
    tree = tree_of(html)
    tree.head.append(lxml.html.fragment_fromstring(element))
    return html_of(tree)


def _paragraphs(tree: HtmlElement) -> list[HtmlElement]:
    return [each for each in tree.iter("p") if len(each.text_content().strip()) >= READABLE]


def _cut(element: HtmlElement) -> None:
    element.drop_tree()
    element.tail = None


def tree_of(html: str) -> HtmlElement:
    return lxml.html.document_fromstring(html)


def html_of(tree: HtmlElement) -> str:
    return str(lxml.html.tostring(tree, encoding="unicode", doctype="<!DOCTYPE html>"))
