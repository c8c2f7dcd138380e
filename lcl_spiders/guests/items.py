"""What an item of another project says of a page: any class that ItemAdapter knows, by documented field names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from itemadapter import ItemAdapter
from scrapy.utils.misc import load_object

from db.urls import canonical_url
from lcl_spiders.base_spiders.answers import GONE
from lcl_spiders.base_spiders.frontier import MAX_URL
from lcl_spiders.extraction.page import normalised, one_line
from pipelines.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scrapy.settings import BaseSettings

TEXTS = ("content", "html", "body")
"""The fields that hold a page's text, the first that is given counts: the text itself, or a document to be read."""

OUTCOMES = (Outcome.PRESENT, Outcome.GONE, Outcome.UNKNOWN, Outcome.FAILED)
MAX_MESSAGE = 500
_LANGUAGE = re.compile(r"([a-z]{2,3})(?:[-_]|$)", re.IGNORECASE)  # the primary subtag of RFC 5646


class BadItem(ValueError):
    """An item is meant for a page and cannot be read as one. `url` is the page's, None when that is what is wrong."""

    def __init__(self, message: str, url: str | None = None) -> None:
        super().__init__(message)
        self.url = url


@dataclass(frozen=True, slots=True)
class GuestPage:
    """What an item says of a page. What it does not say is None.

    `content` is Markdown or plain text; `document`, where there is no content, is HTML in bytes, of `encoding`.
    """

    url: str
    outcome: Outcome = Outcome.PRESENT
    title: str | None = None
    language: str | None = None
    content: str | None = None
    document: bytes | None = None
    encoding: str | None = None
    http_status: int | None = None
    reason: str | None = None
    message: str | None = None


FIELDS = ("url", *TEXTS, "title", "language", "outcome", "http_status", "reason", "message")


class ItemReader:
    """Reads items. `names` gives a project's own name for a field, `classes` the only classes whose items are pages."""

    def __init__(self, names: Mapping[str, str], classes: Sequence[type] = ()) -> None:
        self._names = {field: names.get(field, field) for field in FIELDS}
        self._classes = tuple(classes)

    @classmethod
    def from_settings(cls, settings: BaseSettings) -> ItemReader:
        """Read `LCL_ITEM_FIELDS` and `LCL_ITEM_CLASSES`. Raises `ValueError` naming the setting that is wrong."""
        try:
            names = settings.getdict("LCL_ITEM_FIELDS")
        except (ValueError, TypeError) as error:
            msg = f"LCL_ITEM_FIELDS is no mapping of fields to names: {error}"
            raise ValueError(msg) from None
        if strange := sorted(names.keys() - set(FIELDS)):
            msg = f"LCL_ITEM_FIELDS names {', '.join(strange)}: the fields are {', '.join(FIELDS)}"
            raise ValueError(msg)
        return cls(names, [_class(each) for each in settings.getlist("LCL_ITEM_CLASSES")])

    def read(self, item: Any) -> GuestPage | None:
        """Return what an item says of a page, None for one that is about something else.

        An item is about a page when it has a field for the URL and one for the text or the outcome, or is of a class
        that the project named. Raises `BadItem`.
        """
        if not self._is_page(item):
            return None
        adapter = ItemAdapter(item)
        given = {field: adapter.get(name) for field, name in self._names.items()}
        url = _url(given["url"])
        try:
            return _page(url, given)
        except (ValueError, TypeError) as error:
            raise BadItem(str(error), url) from error

    def _is_page(self, item: Any) -> bool:
        if self._classes:
            return isinstance(item, self._classes)
        if not ItemAdapter.is_item(item):
            return False
        there = set(ItemAdapter(item).field_names())
        return self._names["url"] in there and any(self._names[field] in there for field in (*TEXTS, "outcome"))


def _class(path: Any) -> type:
    try:
        found = load_object(path)
    except (ImportError, NameError, ValueError, TypeError) as error:
        msg = f"LCL_ITEM_CLASSES names {path!r}, which cannot be loaded: {error}"
        raise ValueError(msg) from None
    if not isinstance(found, type):
        msg = f"LCL_ITEM_CLASSES names {path!r}, which is no class"
        raise ValueError(msg)  # noqa: TRY004 - of a setting, like every other mistake in one
    return found


def _url(value: Any) -> str:
    if not isinstance(value, str):
        msg = f"url is {type(value).__name__}, not the address of a page: {str(value)[:100]!r}"
        raise BadItem(msg)
    try:
        url = canonical_url(value)
    except ValueError as error:
        msg = f"url: {error}"
        raise BadItem(msg) from None
    if len(url) > MAX_URL:
        msg = f"url is longer than {MAX_URL} characters: {url[:100]!r}"
        raise BadItem(msg)
    return url


def _page(url: str, given: Mapping[str, Any]) -> GuestPage:
    try:
        outcome = Outcome(given["outcome"] or Outcome.PRESENT)
    except ValueError:
        outcome = Outcome.LISTED
    if outcome not in OUTCOMES:
        msg = f"outcome is {given['outcome']!r}: it may be {', '.join(OUTCOMES)}"
        raise ValueError(msg)
    status = given["http_status"]
    if status is not None and (not isinstance(status, int) or isinstance(status, bool)):
        msg = f"http_status is {status!r}: give a whole number"
        raise ValueError(msg)
    if outcome is not Outcome.PRESENT:
        return _absent(url, outcome, status, _text(given, "reason"), _text(given, "message"))
    found = next((field for field in TEXTS if given[field] is not None), None)
    if found is None:
        msg = f"none of {', '.join(TEXTS)} is given"
        raise ValueError(msg)
    title, language = one_line(_text(given, "title") or ""), _language(_text(given, "language"))
    if found == "content":
        return GuestPage(url, title=title, language=language, content=normalised(_text(given, "content") or ""))
    value = given[found]
    if isinstance(value, (bytes, bytearray)):
        return GuestPage(url, title=title, language=language, document=bytes(value))
    document = (_text(given, found) or "").encode()
    return GuestPage(url, title=title, language=language, document=document, encoding="utf-8")


def _absent(url: str, outcome: Outcome, status: int | None, reason: str | None, message: str | None) -> GuestPage:
    """Return a page of which there is no text. One that is gone needs evidence: absence is none (C4)."""
    if outcome is Outcome.GONE and status not in GONE:
        msg = f"a page is gone when it answered {' or '.join(str(int(code)) for code in GONE)}: give its http_status"
        raise ValueError(msg)
    if outcome is Outcome.GONE:
        reason = f"http_{status}"
    kind = reason or (f"http_{status}" if status is not None else f"said_{outcome}")
    return GuestPage(url, outcome, http_status=status, reason=kind[:MAX_MESSAGE], message=message)


def _text(given: Mapping[str, Any], field: str) -> str | None:
    value = given[field]
    if value is not None and not isinstance(value, str):
        msg = f"{field} is {type(value).__name__}, not text"
        raise TypeError(msg)
    if value is None:
        return None
    value.encode()  # half a character (a lone surrogate) can neither be hashed nor stored
    return value.replace("\x00", "")  # PostgreSQL has no place for it


def _language(given: str | None) -> str | None:
    """Return the primary subtag of a language tag in lower case: "en" for "en-GB"; None for what is no tag."""
    found = _LANGUAGE.match(given or "")
    return found[1].lower() if found and found[1].lower() != "und" else None
