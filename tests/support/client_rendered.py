"""A site whose pages are written by a script, from JSON that it asks the site for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lcl_spiders.local_site import Page
from tests.support.site import prose

if TYPE_CHECKING:
    from collections.abc import Sequence

PIXEL = b"\x89PNG\r\n\x1a\n" + bytes(60)
SCRIPT = """
const name = location.pathname.slice(1) || "start";
fetch(`/data/${name}.json`).then((answer) => answer.json()).then((article) => {
  document.title = article.title;
  const main = document.querySelector("main");
  const add = (tag, text, parent = main) => {
    const element = parent.appendChild(document.createElement(tag));
    element.textContent = text;
    return element;
  };
  add("h1", article.title);
  article.body.forEach((paragraph) => add("p", paragraph));
  article.links.forEach((link) => { add("a", `to ${link}`, add("li", "")).href = link; });
  add("img", "").src = `/images/${name}.png`;
});
"""
SHELL = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Loading</title>'
    '<link rel="icon" href="/images/icon.png"><script src="/app.js" defer></script></head>'
    '<body><main></main><img src="/images/logo.png"></body></html>'
)


def article(title: str, body: Sequence[str], links: Sequence[str] = ()) -> str:
    """Return the data of one page."""
    return json.dumps({"title": title, "body": list(body), "links": list(links)})


def client_rendered_town() -> dict[str, Page | str | bytes]:
    """Return a site of three pages: the same shell everywhere, whatever the data say."""
    pages: dict[str, Page | str | bytes] = {
        "/app.js": SCRIPT,
        "/images/logo.png": PIXEL,
        "/data/start.json": article("A small town", prose("town"), ["/harbour", "/library"]),
    }
    for topic in ("harbour", "library"):
        pages[f"/data/{topic}.json"] = article(topic.title(), prose(topic), ["/"])
        pages[f"/images/{topic}.png"] = PIXEL
    return {**pages, **dict.fromkeys(("/", "/harbour", "/library"), Page(SHELL))}
