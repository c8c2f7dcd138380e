"""The ledger and the alerts, from counters alone."""

import datetime as dt
import io

import pytest
from rich.console import Console
from scrapy.settings import Settings

from db.usage import Day
from lcl_spiders.extensions.alerts import alerts
from lcl_spiders.extensions.summary import summarise
from lcl_spiders.extensions.verdict import Verdict
from lcl_spiders.ledger import CURRENCY, PRICE, Price, as_table, days_table, in_all, money, price, rows

REFRESH = {
    "requests/sent": 10,
    "requests/other": 2,
    "bytes/downloaded": 1_500_000,
    "chunks/embedded": 3,
    "tokens/embedded": 500,
    "saved/reuse/chunks": 4,
    "saved/reuse/tokens": 400,
    "saved/not_modified/pages": 7,
    "saved/not_modified/bytes": 2_000_000,
    "saved/not_modified/chunks": 20,
    "saved/not_modified/tokens": 3_000_000,
    "saved/recent/pages": 1,
    "saved/recent/requests": 1,
    "pages/new": 5,
    "alerts": [{"name": "failure_rate", "message": "…"}],
}
CENTS = Price(0.02, "EUR")
SUCCESS = Verdict("succeeded", "finished", None, True)


def printed(stats: dict[str, object], price: Price | None = None) -> str:
    page = io.StringIO()
    Console(file=page, width=160).print(as_table(rows(stats, price), price))
    return page.getvalue()


def test_the_ledger_tells_what_was_spent_then_each_rung_that_saved_then_their_sum() -> None:
    spent, recent, not_modified, reuse, saved = rows(REFRESH)
    assert [row.name for row in (recent, not_modified, reuse)] == ["checked lately", "answered 304", "chunks reused"]
    assert spent.units == {"requests": 12, "bytes": 1_500_000, "chunks": 3, "tokens": 500}
    assert saved.units == {"pages": 8, "requests": 1, "bytes": 2_000_000, "chunks": 24, "tokens": 3_000_400}


def test_a_run_that_saved_nothing_says_so() -> None:
    assert [row.name for row in rows({"requests/sent": 1})] == ["spent", "saved"]


@pytest.mark.parametrize("stats", [{}, {"pages/new": 0, "requests/sent": 0, "alerts": []}])
def test_a_run_that_counted_nothing_has_no_ledger(stats: dict[str, object]) -> None:
    assert rows(stats) == []


def test_there_is_money_only_with_a_price() -> None:
    assert {row.money for row in rows(REFRESH)} == {None}
    assert "EUR" not in printed(REFRESH)
    assert money(REFRESH, None) is None

    assert [row.money for row in rows(REFRESH, CENTS)] == pytest.approx([0.00001, 0, 0.06, 0.000008, 0.060008])
    told = money(REFRESH, CENTS)
    assert told is not None
    assert told.pop("currency") == "EUR"
    assert told == pytest.approx({"price_per_million_tokens": 0.02, "spent": 0.00001, "saved": 0.060008})


def test_bytes_and_money_are_printed_for_a_person() -> None:
    header, spent, *_, saved = printed(REFRESH, CENTS).splitlines()
    assert header.split()[-1] == "EUR"
    assert spent.split() == ["spent", "12", "1.5", "MB", "3", "500", "<0.0001"]
    assert saved.split() == ["saved", "8", "1", "2.0", "MB", "24", "3,000,400", "0.0600"]


@pytest.mark.parametrize(("given", "value"), [(None, None), ("", None), ("0", 0.0), ("0.02", 0.02), (3, 3.0)])
def test_a_price_is_a_number_or_nothing(given: object, value: float | None) -> None:
    found = price(Settings({PRICE: given}))
    assert found == (None if value is None else Price(value, "USD"))


def test_the_currency_is_free_text() -> None:
    assert price(Settings({PRICE: "1", CURRENCY: "kr."})) == Price(1, "kr.")


@pytest.mark.parametrize("given", ["much", "-1", "nan", "inf", "0,02"])
def test_a_price_that_is_no_number_is_named(given: str) -> None:
    with pytest.raises(ValueError, match=f"{PRICE} is '{given}'"):
        price(Settings({PRICE: given}))


def test_tokens_that_came_by_a_batch_cost_half() -> None:
    assert Price(2, "USD").of(3_000_000, batched=1_000_000) == pytest.approx(5)


def test_days_are_summed_also_those_that_are_not_shown() -> None:
    usage = [Day(dt.date(2026, 11, day), 2, 30, 4_000_000, 1_000_000, 0, 500_000) for day in (3, 2, 1)]
    page = io.StringIO()
    Console(file=page, width=160).print(days_table(usage, Price(1, "EUR"), limit=2))
    header, *days, total = page.getvalue().splitlines()
    assert header.endswith("spent, EUR saved, EUR")
    assert [line.split()[0] for line in days] == ["2026-11-03", "2026-11-02"]
    assert total.split()[2:] == ["6", "90", "12,000,000", "3,000,000", "1,500,000", "10.5000", "1.5000"]
    assert in_all(usage, None)["tokens"] == 12_000_000
    assert "money" not in in_all(usage, None)


def test_the_summary_tells_what_was_paid_when_there_is_a_price() -> None:
    assert summarise({"tokens/embedded": 2_000_000}, CENTS).endswith("; 2,000,000 tokens for 0.0400 EUR")
    assert "tokens" not in summarise({"tokens/embedded": 2_000_000})


def test_the_summary_tells_every_way_a_page_was_spared() -> None:
    stats = {"pages/not_modified": 4, "pages/skipped_lastmod": 3, "pages/duplicate": 2, "pages/unasked": 1}
    assert summarise(stats).startswith("4 pages not modified, 3 skipped by lastmod, 2 duplicate, 1 not reached; ")


@pytest.mark.parametrize(
    ("counters", "raised"),
    [
        ({"pages/new": 9, "pages/unknown": 1}, []),
        ({"pages/new": 8, "pages/unknown": 1, "pages/failed": 1}, ["failure_rate"]),
        ({"pages/gone": 9, "pages/unknown": 1}, []),
        ({"pages/skipped_recent": 90, "pages/new": 8, "pages/unknown": 2}, ["failure_rate"]),
        ({"pages/unasked": 90, "pages/new": 8, "pages/unknown": 2}, ["failure_rate"]),
        ({"pages/unknown": 1}, ["failure_rate"]),
        ({"signals/revoked": 1}, ["trust_revoked"]),
        ({}, []),
    ],
)
def test_a_share_of_failures_above_a_tenth_and_a_signal_that_lied_raise_an_alert(
    counters: dict[str, int], raised: list[str]
) -> None:
    assert [alert["name"] for alert in alerts(counters, SUCCESS)] == raised


@pytest.mark.parametrize("reason", ["yield_collapse", "mass_delete_refused", "token_limit_reached"])
def test_a_collapse_and_a_refused_deletion_raise_an_alert_that_says_why(reason: str) -> None:
    verdict = Verdict.failure(reason, "see for yourself")
    assert alerts({}, verdict) == [{"name": reason, "message": "see for yourself"}]


def test_a_busy_domain_raises_no_alert() -> None:
    assert alerts({}, Verdict.refusal("domain_locked", "busy")) == []
