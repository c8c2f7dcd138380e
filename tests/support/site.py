"""Pages of a site as a person would write them: enough prose that an extractor takes them for articles."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PARAGRAPH = (
    "{topic} has its own history in this town, and number {n} of its stories is told here at some length. "
    "The old people remember how it was before the bridge was built, when everything came by boat and the {topic} "
    "was where one heard the news. Today it opens at nine, and on market days somewhat earlier than that, "
    "so that visitors number {n} thousand and more in a good year."
)


def prose(topic: str, paragraphs: int = 8) -> list[str]:
    """Return paragraphs about a topic; each is about half a chunk long."""
    return [PARAGRAPH.format(topic=topic, n=n) for n in range(1, paragraphs + 1)]


def tale(topic: str, paragraphs: int = 6) -> list[str]:
    """Return paragraphs that have hardly three words in a row in common with those of another topic."""
    vocabulary = PARAGRAPH.format(topic=topic, n="one").split()
    words = random.Random(topic).choices(vocabulary, k=70 * paragraphs)
    return [" ".join(words[at : at + 70]) for at in range(0, len(words), 70)]


def html(title: str, body: Sequence[str], links: Sequence[str] = (), head: str = "") -> str:
    """Return a page with a heading, paragraphs and links."""
    text = "\n".join(f"<p>{paragraph}</p>" for paragraph in body)
    anchors = "\n".join(f'<li><a href="{link}">to {link}</a></li>' for link in links)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>{head}</head><body>'
        f"<article><h1>{title}</h1>\n{text}\n</article><nav><ul>{anchors}</ul></nav></body></html>"
    )


def small_town() -> dict[str, str]:
    """Return a site of four pages, each linked from the first."""
    topics = ("harbour", "library", "market")
    pages = {f"/{topic}": html(topic.title(), prose(topic), links=["/"]) for topic in topics}
    pages["/"] = html("A small town", prose("town"), links=[f"/{topic}" for topic in topics])
    return pages
