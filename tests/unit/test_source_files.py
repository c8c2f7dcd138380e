"""`sources.toml`: what a file may say, and where it is wrong."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcl_spiders.sources.file import SourcesFile, WrongFile, read, write

KINDS = ["website", "feed"]


@pytest.fixture
def take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Read a text as a file of sources."""
    monkeypatch.chdir(tmp_path)

    def read_text(text: str | bytes) -> SourcesFile:
        path = Path("sources.toml")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read(path, KINDS)

    return read_text


def wrong(take: Any, text: str | bytes) -> list[str]:
    """Return what is wrong with a file."""
    with pytest.raises(WrongFile) as caught:
        take(text)
    return caught.value.lines


def test_each_table_is_a_source(take: Any) -> None:
    entries = take(
        """
        [sources.harbour]
        url = "https://Harbour.example"
        refresh_interval = "6h"
        deny = ["/login", '[0-9]{4}']

        [sources.news]
        url = "https://news.example/feed.xml"
        spider = "feed"
        enabled = false
        priority = 5
        """
    ).entries
    assert [(entry.slug, entry.url, entry.spider, entry.enabled, entry.priority) for entry in entries] == [
        ("harbour", "https://harbour.example/", "website", True, 0),
        ("news", "https://news.example/feed.xml", "feed", False, 5),
    ]
    assert entries[0].settings == {"deny": ["/login", "[0-9]{4}"]}


def test_an_empty_file_has_no_sources(take: Any) -> None:
    assert take("# none yet\n").entries == []


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ('[sources.a]\nurl = "https://a.example"\n\n# few\nmax_pages = "many"', 5, "sources.a.max_pages"),
        ('[sources.a]\nurl = "https://a.example"\nmax_page = 5', 3, "sources.a.max_page: there is no such setting"),
        ('[sources.a]\nurl = "a.example"', 2, "sources.a.url"),
        ('[sources.a]\nmax_pages = 5', 1, "sources.a.url: Field required"),
        ('[sources.a]\nurl = "https://a.example"\nspider = "gopher"', 3, "no kind of source 'gopher'"),
        ('[sources.a]\nurl = "https://a.example"\nrefresh_interval = "soon"', 3, "sources.a.refresh_interval"),
        ('[sources.a]\nurl = "https://a.example"\nrefresh_interval = 06:00:00', 3, "sources.a.refresh_interval"),
        ('[sources.a]\nurl = "https://a.example"\ndeny = [\n  "fine",\n  "(",\n]', 3, "sources.a.deny.1"),
        ('[sources.a]\nurl = "https://a.example"\nstart_urls = ["https://b.example"]', 3, "sources.a.start_urls"),
        ('[sources.A_b]\nurl = "https://a.example"', 1, "sources.A_b: the slug"),
        ('[sources.feed]\nurl = "https://a.example"', 1, "sources.feed: 'feed' is the name of a kind"),
        ('[sources.a]\nslug = "a"\nurl = "https://a.example"', 2, "sources.a.slug: the name of the table is the slug"),
        ('\n[[sources]]\nurl = "https://a.example"', 2, "sources: each source is a table"),
        ('[sources]\na = "https://a.example"', 2, "sources.a: it is no table"),
        ('[source.a]\nurl = "https://a.example"', 1, "source: there is no such table"),
        ('sources.a = {url = "https://a.example", max_depth = 0}', 1, "sources.a.max_depth"),
        ('[sources]\na.url = "https://a.example"\na.max_depth = 0', 3, "sources.a.max_depth"),
        ('[ sources . "a" ] # of the club\nurl = "https://a.example"\nmax_depth = 0', 3, "sources.a.max_depth"),
        ('[sources.a]\nurl = "https://a.example"\ntitle_css = """\n[sources.b]\nmax_depth = 1"""\nmax_depth = 0',
         6, "sources.a.max_depth"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_file_line_and_field(take: Any, text: str, line: int, field: str) -> None:
    told = wrong(take, text)
    assert [each for each in told if each.startswith(f"sources.toml:{line}: ") and field in each], told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[sources.a]\nurl = "https://a.example\n', "sources.toml:2: "),
        ('[sources.a]\nurl = "https://a.example"\nmax_pages =\n', "sources.toml:3: Invalid value, in: max_pages ="),
        ('[sources.a]\nurl = "https://a.example"\n[sources.a]\nmax_pages = 5\n', "sources.toml:3: "),
        ('[sources.a]\nurl = "https://a.example"\nurl = "https://b.example"\n', "sources.toml:3: "),
        ('[sources.a]\nurl = "https://a.example"\ndeny = [\n', "sources.toml:3: "),
        (b'[sources.a]\nurl = "https://\xe9.example"\n', "sources.toml:2: it is not written in UTF-8"),
    ],
)
def test_what_is_no_toml_is_told_with_file_and_line(take: Any, text: str | bytes, told: str) -> None:
    (line,) = wrong(take, text)
    assert line.startswith(told)


@pytest.mark.parametrize("slug", ["[sources.A_b]\n#", "[sources.feed]\n#", '[sources.a]\nslug = "a"'])
def test_a_wrong_slug_hides_nothing_else_that_is_wrong_with_its_table(take: Any, slug: str) -> None:
    told = wrong(take, f'{slug}\nurl = "https://a.example"\nmax_depth = 0\n[sources.c]\nurl = "https://a.example/"\n')
    assert ["max_depth" in each for each in told].count(True) == 1
    assert any("slug" in each or "kind of spider" in each for each in told)


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_lines(take: Any) -> None:
    told = wrong(take, '[sources.b]\nurl = "b"\nmax_depth = 0\n[sources.a]\nurl = "https://a.example"\ndelay = -1\n')
    assert [each.split(":")[1] for each in told] == ["2", "3", "6"]


def test_one_start_url_under_two_names_is_an_error_that_names_both(take: Any) -> None:
    (told,) = wrong(take, '[sources.a]\nurl = "https://a.example"\n[sources.b]\nurl = "https://A.example/#top"\n')
    assert told == "sources.toml:4: sources.b.url: https://a.example/ is the start URL of 'a' already"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(WrongFile, match="No such file"):
        read(tmp_path / "missing.toml", KINDS)


# A pattern is any text that `re` takes; most signs stand for themselves.
PATTERNS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\()[]{}*+?"), min_size=1)


@given(st.lists(PATTERNS, max_size=4), st.integers(1, 10**6), st.one_of(st.none(), st.floats(0, 300)), st.booleans())
def test_what_is_written_is_read_as_the_same(
    tmp_path_factory: pytest.TempPathFactory, patterns: list[str], pages: int, delay: float | None, enabled: bool
) -> None:
    fields = {"url": "https://a.example/", "enabled": enabled, "deny": patterns, "max_pages": pages, "delay": delay}
    path = tmp_path_factory.mktemp("written") / "sources.toml"
    path.write_text(write([("a", fields), ("b", {"url": "https://b.example/"})]), encoding="utf-8", newline="")

    first, second = read(path, KINDS).entries

    assert {name: getattr(first, name) for name in fields} == fields
    assert second.url == "https://b.example/"
