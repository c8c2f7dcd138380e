"""What marking the frame of a site costs: as much as the page is long, whatever stands on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lcl_spiders.extraction import frame
from lcl_spiders.extraction.document import parse
from lcl_spiders.extraction.outline import outline
from tests.support.extraction import PROSE

if TYPE_CHECKING:
    from lcl_spiders.extraction.blocks import Block

MANY = 500


class Counted(list["Block"]):
    """Blocks that count how often one is looked up by its number."""

    reads = 0

    def __getitem__(self, key: Any) -> Any:
        self.reads += len(range(*key.indices(len(self)))) if isinstance(key, slice) else 1
        return super().__getitem__(key)


@pytest.mark.parametrize("text", [PROSE, "<a href=/x>x</a>"])
@pytest.mark.parametrize("words", ["<p>Share</p>", "<h2>Comments</h2>", "<h2>Related articles</h2>"])
def test_what_is_said_hundreds_of_times_on_a_page_is_not_looked_after_to_its_end_each_time(
    words: str, text: str
) -> None:
    page = outline(parse(f"<h1>Foxes</h1>{f'{words}<p>{text}</p>' * MANY}".encode()))
    page.blocks = counted = Counted(page.blocks)
    frame.mark_headed(page)
    assert counted.reads < 20 * len(counted)


def test_what_stands_round_hundreds_of_fields_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    holds_main = frame.holds_main
    monkeypatch.setattr(frame, "holds_main", lambda element: looked.append(element) or holds_main(element))
    page = outline(parse(f"<h1>Foxes</h1><div>Mail {'<input type=email>' * MANY}</div><p>{PROSE}</p>".encode()))
    frame.mark_frame(page)
    assert len(looked) == 1
    assert [block.reason for block in page.blocks] == [None, "form", None]
