"""All the text that a reader sees on a page, navigation aside."""

import re

from lxml import etree
from lxml.html import HtmlElement
from resiliparse.extract.html2text import extract_plain_text

from lcl_spiders.extraction.selection import exclude, serialised

# `hidden` is HTML's own word for what is not shown (html.spec.whatwg.org, section 6.1), display:none that of CSS.
_UNSEEN = (
    *("head", "nav", "[role=navigation]", "[role=search]", "script", "style", "template", "noscript", "svg", "iframe"),
    *("[hidden]", "[style*='display:none']", "[style*='display: none']"),
)
_HEADINGS = {f"h{level}": "#" * level for level in range(1, 7)}
_BULLET = re.compile(r"^([ \t]*)[•◦▪] ", re.MULTILINE)


def full_text(tree: HtmlElement) -> str:
    """Return a page's visible text with Markdown's headings, bullets and code blocks; the tree is changed by it.

    No heuristics: whatever is neither navigation nor hidden stays, in the order of the document. Form fields,
    alternative texts and the targets of links are left out.
    """
    exclude(tree, _UNSEEN)
    for heading in tree.iter(*_HEADINGS):
        if line := " ".join(heading.text_content().split()):
            _set_text(heading, f"{_HEADINGS[heading.tag]} {line}")
    for code in tree.iter("pre"):
        if text := code.text_content().strip("\n"):
            _set_text(code, f"```\n{text}\n```")
    text = extract_plain_text(serialised(tree), preserve_formatting=True, main_content=False, alt_texts=False)
    return _BULLET.sub(r"\1- ", text)


def _set_text(element: HtmlElement, text: str) -> None:
    tail = element.tail
    etree.strip_elements(element, "*", with_tail=True)
    element.text, element.tail = text, tail
