"""When pages that look gone are believed to be gone (C4)."""

import pytest

from db.page_rows import Departure
from pipelines.burial import loss


def gone(count: int, reason: str = "http_404", targets: int = 0) -> list[Departure]:
    return [Departure(f"/{n}", reason, None, f"/target{n % targets}" if targets else None) for n in range(count)]


@pytest.mark.parametrize(
    ("departures", "total", "present", "suspect"),
    [
        (gone(9), 9, 0, False),  # fewer than ten
        (gone(10), 20, 10, False),  # half is not more than half
        (gone(11), 20, 9, True),
        (gone(11), 1000, 9, True),  # a small part of the source was looked at, and most of it is gone
        (gone(11), 1000, 900, False),
        (gone(40, "redirect", targets=40), 40, 0, False),  # a site that moved as a whole
        (gone(40, "redirect", targets=1), 40, 1, True),  # a site that sends everything to one page
        (gone(40, "redirect_offsite", targets=40), 40, 0, True),
        (gone(40, "soft_404"), 60, 20, True),
    ],
)
def test_a_loss_of_more_than_half_and_at_least_ten_waits_for_an_operator(departures, total, present, suspect):
    indexed = {departure.target: number for number, departure in enumerate(departures) if departure.target}
    assert loss(departures, indexed, total=total, present=present).is_suspect is suspect


def test_targets_that_hold_one_text_vouch_for_one_page():
    departures = [Departure(f"/{n}", "redirect", None, f"/login?next={n}") for n in range(14)]
    indexed = {f"/login?next={n}": 1 for n in range(14)}
    assert loss(departures, indexed, total=15, present=1).is_suspect
    assert loss(departures, {}, total=15, present=1).is_suspect
