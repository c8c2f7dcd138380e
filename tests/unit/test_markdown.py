"""What a page's markup becomes in Markdown."""

import pytest

from tests.support.extraction import PROSE, kept


def written(markup: str, links: str = "cards") -> str:
    """Return what becomes of a part of an article, without the prose around it."""
    text = kept(f"<main><h1>Foxes</h1><p>{PROSE}</p>{markup}<p>{PROSE}</p></main>", links=links)
    return text.removeprefix(f"# Foxes\n\n{PROSE.strip()}").removesuffix(PROSE.strip()).strip()


@pytest.mark.parametrize(
    ("markup", "markdown"),
    [
        ("<h2>Red <em>fox</em><a class=headerlink href=#red>¶</a></h2>", "## Red fox"),
        ("<p>one<br>two<br><br>three</p>", "one\ntwo\n\nthree"),
        ("<div>bare</div>text<p>more", "bare\n\ntext\n\nmore"),
        ("<ul><li>one<li>two</ul>", "- one\n- two"),
        ("<ol start=3><li>three<li>four</ol>", "3. three\n4. four"),
        ("<ul><li>one<ul><li>inner</ul><li>two</ul>", "- one\n  - inner\n- two"),
        ("<ol><li><p>one</p><pre>a\n b</pre></ol>", "1. one\n\n   ```\n   a\n    b\n   ```"),
        ("<dl><dt>Fox</dt><dd>An animal.</dd><dt>Vixen<dd>Another.</dl>", "Fox\n: An animal.\n\nVixen\n: Another."),
        ("<dl><dt>a<dt>b<dd><p>Both.</p><p>Again.</p></dl>", "a\nb\n: Both.\n\nAgain."),
        ("<pre><code>x = 1\n  y</code></pre>", "```\nx = 1\n  y\n```"),
        ("<pre>x<button>Copy</button> y</pre>", "```\nx y\n```"),
        ("<pre>one<br>two<br><br>four</pre>", "```\none\ntwo\n\nfour\n```"),
        ("<pre><code><div>one</div><div>two</div></code></pre>", "```\none\ntwo\n```"),
        ("<code><div>one</div><div>two</div></code>", "one\n\ntwo"),
        ("<pre>a ``` b</pre>", "````\na ``` b\n````"),
        ("<p>Call <code>f(x)</code>, <kbd></kbd><code><span>g</span></code>.</p>", "Call `f(x)`, `g`."),
        ("<p><b>Bold</b> and <i>not</i></p>", "Bold and not"),
        ("<blockquote><p>one</p><p>two</p></blockquote>", "> one\n\n> two"),
        ("<p># no heading</p>", r"\# no heading"),
        (
            "<table><caption>Ages</caption><tr><th>Who<th>Age</tr><tr><td>a|b<td>1<br>2</tr></table>",
            "Ages\n\n| Who | Age |\n| --- | --- |\n| a\\|b | 1 2 |",
        ),
        (
            "<table><tr><td colspan=2>m<tr><td rowspan=2>a<td>b<tr><td>c</table>",
            "| m |  |\n| --- | --- |\n| a | b |\n|  | c |",
        ),
        ("<table><tr><td>k<td>v</tr></table>", "| k | v |\n| --- | --- |"),
        ("<table><tr><td>k<td>v<tr><td>w</table>", "| k | v |\n| --- | --- |\n| w |"),
        ("<table><tr><td>k<tr><td>v<td>w</table>", "| k |  |\n| --- | --- |\n| v | w |"),
        ("<table role=presentation><tr><td><p>left</p><td><p>right</p></table>", "left\n\nright"),
        ("<p>See <a href=../other?utm_source=x#y>the other</a>.</p>", "See the other."),
        ("<h2><button>Where do foxes live?</button></h2><p>There.</p>", "## Where do foxes live?\n\nThere."),
        ("<p>On <time datetime=2027-05-03></time>, <time datetime=2027-05-04>4 May</time></p>", "On 2027-05-03, 4 May"),
        ("<p>20:00<span>x</span></p>", "20:00x"),
        ("<p><span>20:00</span><span>Town hall</span></p>", "20:00 Town hall"),
        ("<p>a<script>run()</script>b<!-- c --><style>d{}</style></p><p hidden>e</p>", "ab"),
    ],
)
def test_markup_becomes_markdown(markup: str, markdown: str) -> None:
    assert written(markup) == markdown


def test_links_are_made_absolute_where_a_source_wants_them() -> None:
    markup = "<p>See <a href='../other?utm_source=x#y'>the <b>other</b></a>, <a href=mailto:a@b.c>me</a>.</p>"
    assert written(markup, links="all") == "See [the other](https://example.org/other), me."


def test_an_edit_of_one_cell_changes_one_line_of_a_table() -> None:
    table = "<table><tr><th>Who<th>Age</tr><tr><td>fox<td>{}</tr><tr><td>dog<td>7</tr></table>"
    before, after = (written(table.format(age)).split("\n") for age in ("1", "a much longer text"))
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False, True]


def test_one_wide_row_costs_a_table_no_more_than_itself() -> None:
    markup = f"<table><tr>{'<td>x' * 1_000}</tr>{'<tr><td>a<td>b' * 1_000}</table>"
    assert len(written(markup)) < 4 * len(markup)
