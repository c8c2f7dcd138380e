"""Imports point one way: lcl_spiders -> pipelines -> db.

Dotted paths in strings, as in Scrapy's settings, are free.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRAPY = {"scrapy", "scrapyd", "itemadapter", "itemloaders", "parsel", "twisted"}
FORBIDDEN = {
    "lcl_spiders": {"tests", "benchmarks"},
    "pipelines": {"tests", "benchmarks", "lcl_spiders"},
    "db": {"tests", "benchmarks", "lcl_spiders", "pipelines", *SCRAPY},
}
MODULES = [file.relative_to(ROOT) for package in FORBIDDEN for file in sorted((ROOT / package).rglob("*.py"))]


def imported(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and absolute name of each module that a module of ``package`` imports, at any depth of its code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: -node.level + 1 or None] if node.level else []
            yield node.lineno, ".".join([*above, *filter(None, [node.module])])


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_imports_only_what_is_below_it(module: Path) -> None:
    forbidden = FORBIDDEN[module.parts[0]]
    source = (ROOT / module).read_text(encoding="utf-8")

    wrong = [
        f"{module}:{line} imports {name}"
        for line, name in imported(source, ".".join(module.parts[:-1]))
        if name.partition(".")[0] in forbidden
    ]

    assert wrong == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import scrapy.http", "scrapy.http"),
        ("from db import pages", "db"),
        ("def f():\n    import scrapy", "scrapy"),
        ("from . import pages", "db.queries"),
        ("from ..pages import x", "db.pages"),
    ],
)
def test_every_form_of_import_is_seen(source: str, name: str) -> None:
    assert [found for _, found in imported(source, "db.queries")] == [name]


def test_an_extraction_worker_never_loads_scrapy() -> None:
    script = """
import importlib, sys
from lcl_spiders.extraction.worker import PRELOADED, FeedDocument, extract_batch
for name in PRELOADED:
    importlib.import_module(name)
extract_batch(60, [(b"<p>text</p>", "http://example.org/", None), FeedDocument(b"<rss/>", "http://example.org/", None)])
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"scrapy", "twisted", "psycopg"}))
"""
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == []


def test_every_package_has_modules() -> None:
    assert {module.parts[0] for module in MODULES} == set(FORBIDDEN)
