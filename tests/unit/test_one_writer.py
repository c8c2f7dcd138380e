"""A1: one path writes the index."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WRITES = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM)\s+(scraped_pages|page_embeddings)\b")


def sources():
    for package in ("db", "pipelines", "lcl_spiders"):
        yield from (ROOT / package).rglob("*.py")


def test_only_named_queries_and_the_bulk_functions_write_pages_and_embeddings():
    assert [str(path) for path in sources() if WRITES.search(path.read_text())] == []


def test_only_the_upsert_pipeline_opens_a_write():
    users = [path for path in sources() if re.search(r"\bpages\.write\(", path.read_text())]
    assert users == [ROOT / "pipelines" / "upsert.py"]
