"""Tables: which hold data and which only the layout of a page, and those of data as Markdown."""

from itertools import islice

from lxml import etree
from lxml.html import HtmlElement

MAX_SPAN = 20
"""Columns or rows that a cell may take; browsers allow 1,000 columns (html.spec.whatwg.org, section 4.9.11)."""

_LOOKED_AT = 30  # rows that decide
_SHORT = 80
_LONG = 300  # characters on average in the cells of a layout
_OF_A_LAYOUT = ("table", "h1", "h2", "h3", "pre", "form", "article", "section", "main", "nav")
_OF_DATA = ("th", "caption", "thead")
_BREAKING = ("p", "div", "br", "li", "dd", "dt")
_TEXT = etree.XPath("string()")


def is_data(table: HtmlElement) -> bool:
    """Return whether a table holds rows and columns of data; else its cells are parts of the page's layout."""
    if table.get("role") in {"presentation", "none"}:
        return False
    if next(islice(table.iter(*_OF_A_LAYOUT), 1, 2), None) is not None:
        return False
    rows = [[len(_TEXT(cell).strip()) for cell in row.iterchildren("td", "th")] for row in _rows(table, _LOOKED_AT)]
    rows = [row for row in rows if row]
    filled = [length for row in rows for length in row if length]
    if not filled or max(map(len, rows)) < 2:
        return False
    if len(rows) == 1:  # a row of links is a menu, one of long cells a layout
        return max(filled) < _SHORT and next(table.iter("a"), None) is None
    has_header = next(table.iter(*_OF_DATA), None) is not None
    return has_header or (sum(filled) / len(filled) < _LONG and max(filled) < 4 * _LONG)


def markdown_of(table: HtmlElement) -> str:
    """Return a table of data as a Markdown table (GitHub Flavored Markdown, section 4.10), its caption above it.

    The first row is the header, and the only one that is as wide as the widest: the others may have fewer cells, so
    that one wide row costs a table no more than itself. A cell that spans columns or rows has its text in the first.
    """
    etree.strip_elements(table, "script", "style", "noscript", "template", with_tail=False)
    lines: list[list[str]] = []
    below: dict[int, int] = {}  # columns that a cell of a row above still takes, with the rows that are left
    for row in _rows(table):
        cells: list[str] = []
        for cell in row.iterchildren("td", "th"):
            _fill(cells, below)
            width, height = _span(cell, "colspan"), _span(cell, "rowspan")
            for column in range(len(cells), len(cells) + width):
                if height > 1:
                    below[column] = height - 1
            cells += [_cell(cell), *[""] * (width - 1)]
        _fill(cells, below)
        if any(cells):
            lines.append(cells)
    if not lines:
        return ""
    width = max(map(len, lines))
    lines[0] += [""] * (width - len(lines[0]))
    drawn = [f"| {' | '.join(cells)} |" for cells in lines]
    drawn.insert(1, f"| {' | '.join(['---'] * width)} |")
    caption = next((_line(each) for each in table.iterchildren("caption")), "")
    return "\n".join([caption, "", *drawn] if caption else drawn)


def _rows(table: HtmlElement, most: int | None = None) -> list[HtmlElement]:
    return list(islice(table.iter("tr"), most))


def _fill(cells: list[str], below: dict[int, int]) -> None:
    """Leave the columns empty that a cell from above reaches into."""
    while (left := below.get(len(cells), 0)) > 0:
        below[len(cells)] = left - 1
        cells.append("")


def _span(cell: HtmlElement, name: str) -> int:
    value = cell.get(name, "1").strip()
    return min(int(value), MAX_SPAN) if value.isdecimal() and len(value) < 6 and int(value) else 1


def _cell(cell: HtmlElement) -> str:
    return _line(cell).replace("|", r"\|")


def _line(element: HtmlElement) -> str:
    if next(element.iter(*_BREAKING), None) is None:
        return " ".join(_TEXT(element).split())
    return " ".join(" ".join(element.itertext()).split())
