"""What extraction made of one page, for a person: what would be indexed, what was left out and why."""

from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from lcl_spiders.extraction.extract import Reading
from lcl_spiders.extraction.listings import PART_OF_A_CARD
from lcl_spiders.extraction.parts import shown_texts

_SAMPLE = 200


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run of text that was left out: why, how much (characters), and how it begins."""

    reason: str
    chars: int
    text: str


def left_out(reading: Reading) -> list[LeftOut]:
    """Return what was left out of a page: what is boilerplate of its site, certainly frame, and the rest in its order.

    Only the first is known where another extractor than blocks was believed.
    """
    content = reading.content
    found = [LeftOut("boilerplate", len(unit), " ".join(unit.split())[:_SAMPLE]) for unit in reading.page.boilerplate]
    if content.outline is None or content.extractor != "blocks":
        return found
    found += [
        LeftOut(reason, len(text), text[:_SAMPLE])
        for element, reason in content.outline.skipped
        if (text := " ".join(" ".join(shown_texts(element)).split()))
    ]
    for reason, blocks in groupby(content.outline.blocks, key=lambda block: block.reason):
        if reason is None or reason == PART_OF_A_CARD:
            continue
        text = " ".join(" ".join(block.text for block in blocks).split())
        found.append(LeftOut(reason, len(text), text[:_SAMPLE]))
    return found


def as_json(reading: Reading, url: str) -> dict[str, Any]:
    """Return everything that is known of a page, with the fields that `scrapy inspect --json` promises."""
    page, content = reading.page, reading.content
    return {
        "url": url,
        "title": page.title,
        "language": page.language,
        "canonical": page.canonical,
        "noindex": page.noindex,
        "nofollow": page.nofollow,
        "description": page.description,
        "author": page.author,
        "published": page.published,
        "modified": page.modified,
        "kind": page.kind,
        "evidence": page.evidence,
        "extractor": page.extractor,
        "tried": list(page.tried),
        "coverage": asdict(content.coverage) if content.coverage is not None else None,
        "links": len(page.outlinks),
        "characters": len(page.content),
        "content": page.content,
        "kept": [{"chars": len(unit), "text": " ".join(unit.split())[:_SAMPLE]} for unit in page.kept],
        "left_out": [asdict(each) for each in left_out(reading)],
    }
