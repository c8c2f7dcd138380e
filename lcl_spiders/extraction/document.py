"""Bytes of unknown quality -> one lxml tree, or a typed refusal."""

import re

from lxml import etree
from lxml.html import HtmlComment, HtmlElement, HtmlEntity, HTMLParser, HtmlProcessingInstruction, document_fromstring
from resiliparse.parse.encoding import detect_encoding
from w3lib.encoding import html_body_declared_encoding, read_bom, resolve_encoding

from lcl_spiders.extraction.errors import EmptyBody, NotHtml, TooDeep

_SNIFFED = 1_445
"""Bytes that tell binary data from text (mimesniff.spec.whatwg.org, section 5.2)."""

_CONTROLS = bytes([*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F])
_BINARY = bytes([*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)])
_MARKUP = re.compile(rb"<(?:!doctype|!--|html|head|body|title|meta|script|div|p|a|table|h[1-6])\b", re.IGNORECASE)
# libxml2 takes <html /> for a whole document and drops what follows (bugs.launchpad.net/lxml/+bug/1955915).
_CLOSED_ROOT = re.compile(rb"(<html[^>]*?)\s*/>", re.IGNORECASE)


def utf8_body(body: bytes, encoding: str | None) -> bytes:
    """Return the body as UTF-8 without a byte order mark and without control characters.

    What the bytes are wins over what is said of them: a byte order mark, then valid UTF-8, then the HTTP header's
    `encoding`, then the document's own declaration, then detection, then windows-1252. Bytes that do not fit become
    U+FFFD; an encoding that Python does not know counts as not given.
    """
    marked, mark = read_bom(body)
    if marked is not None and mark is not None:
        return _without_controls(body[len(mark) :].decode(marked, "replace").encode("utf-8", "replace"))
    # UTF-16 and ISO-2022 are made of bytes that are valid UTF-8, too.
    if b"\x00" not in body and b"\x1b" not in body and _decoded(body, "utf-8", "strict") is not None:
        return _without_controls(body)
    named = (resolve_encoding(encoding) if encoding else None, html_body_declared_encoding(body), detect_encoding(body))
    for name in named:
        text = _decoded(body, name, "replace") if name else None
        if text is not None:
            return _without_controls(text.encode("utf-8", "replace"))
    return _without_controls(body.decode("cp1252", "replace").encode())


def parse(utf8: bytes) -> HtmlElement:
    """Parse what `utf8_body` returned, without comments and processing instructions.

    Raises:
        EmptyBody: there is no element and no text.
        TooDeep: more than 2,048 levels; libxml2 stops there, and a page cut short must not pass for the page.
        MemoryError: the process has reached its limit.
    """
    parser = _parser()
    try:
        tree = document_fromstring(_CLOSED_ROOT.sub(rb"\1>", utf8[:4096]) + utf8[4096:], parser=parser)
    except etree.ParserError as error:
        raise EmptyBody("the document is empty") from error
    except etree.XMLSyntaxError as error:
        # A parser that recovers from whatever it meets returns no tree when it has no memory for one.
        raise MemoryError from error
    fatal = parser.error_log.last_error
    if fatal is not None and fatal.level == etree.ErrorLevels.FATAL:
        if fatal.type == etree.ErrorTypes.ERR_NO_MEMORY:
            raise MemoryError
        raise TooDeep(f"the parser stopped at line {fatal.line}: {fatal.type_name}")
    return tree


def refuse_binary(body: bytes) -> None:
    """Raise `NotHtml` when text, as far as a browser would look, has bytes that no text has, and no markup."""
    start = body[:_SNIFFED]
    binary = start.translate(None, _BINARY) != start and read_bom(start)[0] is None
    if (binary and not _MARKUP.search(start.replace(b"\x00", b""))) or start.startswith(b"%PDF-"):
        raise NotHtml(f"binary data: {start[:8]!r}")


def _decoded(body: bytes, encoding: str, errors: str) -> str | None:
    try:
        return body.decode(encoding, errors)
    except (LookupError, ValueError):  # a codec that is none of text ("hex"), or that knows no replacement ("idna")
        return None


def _without_controls(utf8: bytes) -> bytes:
    return utf8.translate(None, _CONTROLS)


def _parser() -> HTMLParser:
    parser = HTMLParser(
        encoding="utf-8",
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
        huge_tree=True,
        default_doctype=False,
    )
    # lxml.html's own lookup is a Python function called for each element that is touched.
    parser.set_element_class_lookup(
        etree.ElementDefaultClassLookup(
            element=HtmlElement, comment=HtmlComment, pi=HtmlProcessingInstruction, entity=HtmlEntity
        )
    )
    return parser
