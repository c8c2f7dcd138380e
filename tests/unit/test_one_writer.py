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


def test_nobody_but_the_upsert_pipeline_writes_pages():
    users = {
        path.name
        for path in sources()
        if re.search(r"\bpage_writes\.(replace_pages|write_duplicates|mark_seen|bury)\(", path.read_text())
    }
    assert users == {"writer.py"}
    writers = {path.name for path in sources() if "from pipelines.writer import" in path.read_text()}
    assert writers == {"upsert.py", "apply.py"}


def test_nothing_is_written_outside_the_fence():
    for path in sources():
        text = path.read_text()
        if path.name != "page_writes.py" and re.search(r"page_writes\.(record_failures|replace_pages|bury)\(", text):
            assert "page_writes.write(" in text, path
