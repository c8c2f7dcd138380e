"""HTML's elements by what they do to the text around them (html.spec.whatwg.org, section 15.3, "flow content").

A sort above `SKIP`, and an element that is not in `SORTS`, begins another block; the others stand in a line of text.
"""

from typing import Final

TIME: Final = -1
INLINE: Final = 0
SPAN: Final = 1
LINK: Final = 2
CODE: Final = 3
BREAK: Final = 4
SKIP: Final = 5
"""Neither it nor what it holds is text of the page."""

HEADING: Final = 6
PRE: Final = 7
LIST: Final = 8
ITEM: Final = 9
TERM: Final = 10
DEFINITION: Final = 11
TABLE: Final = 12
QUOTE: Final = 13
BLOCK: Final = 14

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")

_NAMES = {
    INLINE: """
        b i u s em strong small big sub sup del ins mark abbr cite q label font bdi bdo data dfn acronym wbr ruby
        rb rt rp strike nobr var tt img output picture slot
    """,
    TIME: "time",
    SPAN: "span",
    LINK: "a",
    CODE: "code kbd samp",
    BREAK: "br",
    SKIP: """
        script style template noscript svg iframe head title button select textarea object embed canvas audio video map
        input datalist progress meter applet frameset noframes noembed
    """,
    HEADING: " ".join(HEADINGS),
    PRE: "pre",
    LIST: "ul ol menu",
    ITEM: "li",
    TERM: "dt",
    DEFINITION: "dd",
    TABLE: "table",
    QUOTE: "blockquote",
}
SORTS: Final = {name: sort for sort, names in _NAMES.items() for name in names.split()}
