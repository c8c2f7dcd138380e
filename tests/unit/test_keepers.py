"""Who keeps a text that is taken out of all other pages, and what a page is given back."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from db.boilerplate import Learned
from db.pages import KnownPage, StoredPage
from lcl_spiders.base_spiders.boilerplate import Boilerplate
from lcl_spiders.base_spiders.keepers import lacked_by, orphaned, put_back
from lcl_spiders.extraction.boilerplate import unit_hash
from pipelines.unchanged import RESTORED
from tests.support.extraction import page

LEGAL = "Prices are given without warranty, and the town is not liable for errors."
OWN = "The harbour was dug in 1652, when everything still came by boat."
URL = "https://example.org/harbour"
JOIN = "Friends of the town support its stories with five euros a month."
OTHER = "https://example.org/library"


def kept(text: str, keeper: str | None = URL, *, kind: str = "article", stored: str | None = None) -> Learned:
    return Learned(kind, unit_hash(text), 12, 12, stored or text, is_applied=True, keeper=keeper)


def stored(content: str, url: str = URL) -> StoredPage:
    known = KnownPage(1, url, b"", None, None, None, (), dt.datetime(2026, 11, 22, tzinfo=dt.UTC))
    return StoredPage(known, "Harbour", "en", content, None)


def test_a_keeper_has_the_text_in_its_place_and_every_other_page_loses_it() -> None:
    known = Boilerplate([kept(LEGAL), kept(JOIN, OTHER)])
    text = f"{LEGAL}\n\n{OWN}\n\n{JOIN}"
    for kind in ("article", "listing"):
        harbour, library, third = (known.without(page(text, kind), url) for url in (URL, OTHER, f"{OTHER}/2"))
        assert (harbour.content, harbour.kept) == (f"{LEGAL}\n\n{OWN}", (LEGAL,))
        assert (library.content, library.kept) == (f"{OWN}\n\n{JOIN}", (JOIN,))
        assert (third.content, third.kept) == (OWN, ())


def test_a_keeper_that_is_of_another_kind_by_now_keeps_the_text() -> None:
    known = Boilerplate([kept(LEGAL), kept(LEGAL, OTHER, kind="thread")])
    assert known.without(page(f"{OWN}\n\n{LEGAL}", "thread"), URL).kept == (LEGAL,)


def test_a_keeper_that_is_read_under_another_url_of_the_same_page_keeps_the_text() -> None:
    known = Boilerplate([kept(LEGAL)])
    found = page(f"{OWN}\n\n{LEGAL}")
    for url, canonical, is_kept in (
        (f"{URL}/", URL, True),
        (f"{URL}/index.html", URL, True),
        (OTHER, URL, False),
        (f"{URL}/", OTHER, False),
    ):
        assert (LEGAL in known.without(replace(found, canonical=canonical), url).content) is is_kept


def test_a_keeper_is_one_while_its_text_has_the_unit() -> None:
    found = [kept(LEGAL), kept(JOIN, OTHER)]
    has = {URL: f"{OWN}\n\n{LEGAL}", OTHER: f"{JOIN}\n\n{OWN}"}
    assert orphaned(found, has, ()) == set()
    assert orphaned(found, {**has, URL: OWN}, ()) == {found[0].unit}
    assert orphaned(found, {URL: has[URL]}, ()) == {found[1].unit}
    assert orphaned(found, has, {URL}) == {found[0].unit}
    assert orphaned([kept(LEGAL, None)], has, ()) == {found[0].unit}


def test_a_page_is_given_back_what_it_is_to_keep_and_lacks() -> None:
    given = [kept(LEGAL), kept(JOIN), kept(OWN), kept("Another page keeps this one text.", OTHER)]
    lacking = stored(f"# Harbour\n\n{OWN}")
    assert lacked_by(lacking, given) == given[:2]
    (item,) = put_back([(lacking, given[:2])])
    assert item.content == "\n\n".join(["# Harbour", OWN, *sorted([LEGAL, JOIN])])
    assert (item.url, item.reason, item.seen_at) == (URL, RESTORED, lacking.known.last_seen_at)
    assert lacked_by(stored(item.content), given) == []


def test_a_text_of_which_only_the_beginning_is_known_is_not_given_back() -> None:
    assert list(put_back([(stored(OWN), [kept(LEGAL, stored=LEGAL[:20])])])) == []
    assert list(put_back([(stored(OWN), [replace(kept(LEGAL), text=None)])])) == []


def test_a_text_is_not_put_into_code_that_has_no_end() -> None:
    assert list(put_back([(stored(f"{OWN}\n\n```\nleft open"), [kept(LEGAL)])])) == []
