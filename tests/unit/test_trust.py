"""What a signal earns, and what one lie costs."""

import pytest

from db.signals import Record
from pipelines.trust import Signal, Trust, runs_needed


def trust(agreed: int, lies: int = 0, needed: int = 3) -> Trust:
    return Trust({"etag": Record("etag", agreed, None, lies, None)}, needed)


@pytest.mark.parametrize(("agreed", "lies", "believed"), [(2, 0, False), (3, 0, True), (3, 1, False), (12, 1, True)])
def test_a_signal_is_believed_after_enough_runs_and_four_times_as_many_after_a_lie(agreed, lies, believed):
    assert trust(agreed, lies).believes(Signal.ETAG) is believed
    assert trust(agreed, lies).believes_any is believed


def test_the_price_of_a_lie_has_an_end():
    assert [runs_needed(Record("etag", lies=lies), 3) for lies in range(6)] == [3, 12, 48, 192, 192, 192]


def test_a_signal_without_a_record_is_not_believed():
    assert not trust(100).believes(Signal.LAST_MODIFIED)


def test_one_lie_revokes_at_once_and_is_told_once():
    run = trust(3)
    assert run.compare([Signal.ETAG], "/a", is_same=True) == []
    assert run.compare([Signal.ETAG], "/b", is_same=False) == [Signal.ETAG]
    assert run.compare([Signal.ETAG], "/c", is_same=False) == []
    assert not run.believes(Signal.ETAG)
    assert run.unrecorded_lies() == {"etag": "/b"}
    assert run.agreed() == []


def test_a_lie_of_a_signal_that_was_not_believed_revokes_nothing_and_is_recorded():
    run = trust(0)
    assert run.compare([Signal.ETAG], "/b", is_same=False) == []
    assert run.unrecorded_lies() == {"etag": "/b"}
    run.recorded(["etag"])
    assert run.unrecorded_lies() == {}
    assert run.has_lied("etag")


def test_a_signal_agreed_in_a_run_if_it_was_compared_and_did_not_lie():
    run = trust(0)
    assert run.agreed() == []
    run.compare([Signal.ETAG, Signal.SITEMAP_LASTMOD], "/a", is_same=True)
    run.compare([Signal.SITEMAP_LASTMOD], "/b", is_same=False)
    assert run.agreed() == ["etag"]
