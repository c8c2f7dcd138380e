"""Which kind of page it is, and what that does to its text."""

import pytest

from lcl_spiders.extraction.content import Content
from tests.support.extraction import PROSE, kept, read

EVENTS = [(f"Evening {n} of songs", f"{n} May 2027", f"Hall {n}") for n in range(1, 7)]
TEASER = "An evening of songs from the harbour, and of stories."


def kind(content: Content) -> str:
    assert content.recognised is not None
    return content.recognised.kind


def cards(card: str, around: str = "<div>{}</div>") -> str:
    inner = "".join(card.format(n=n, title=title, date=date, place=place, teaser=TEASER)
                    for n, (title, date, place) in enumerate(EVENTS, 1))  # fmt: skip
    return f"<h1>Agenda</h1>{around.format(inner)}"


CARDS = {
    "articles": '<article><h3><a href="/e/{n}">{title}</a></h3>{date}<p>{place}</p><p>{teaser}</p></article>',
    "tiles": '<a class="tile" href="/e/{n}"><div>{title}</div><div>{date}</div><div>{place}</div></a>',
    "lines": '<div><a href="/e/{n}">{title}</a><br>{date}<br>{place}</div>',
    "more": '<div class="c"><h3>{title}</h3><p>{date}</p><p>{place}</p><a href="/e/{n}">Read more</a></div>',
    "spans": '<li><h4><a href="/e/{n}">{title}</a></h4><span>{date}</span><span>{place}</span></li>',
    "pairs": '<dt>{date}</dt><dd><a href="/e/{n}">{title}</a><br>{place}</dd>',
}
AROUND = {"pairs": "<dl>{}</dl>", "spans": "<ul>{}</ul>"}


@pytest.mark.parametrize("markup", CARDS)
def test_every_card_is_one_block_with_its_title_date_place_and_link_in_order(markup: str) -> None:
    content = read(cards(CARDS[markup], AROUND.get(markup, "<div>{}</div>")))
    assert kind(content) == "listing"
    blocks = content.text.split("\n\n")
    assert blocks[0] == "# Agenda"
    assert len(blocks) == 1 + len(EVENTS)
    for n, (block, (title, date, place)) in enumerate(zip(blocks[1:], EVENTS, strict=True), 1):
        assert f"[{title}](https://example.org/e/{n})" in block
        assert date in block
        assert place in block
        assert "Read more" not in block


def test_a_changed_card_changes_one_block() -> None:
    page = cards(CARDS["articles"])
    before, after = (kept(each).split("\n\n") for each in (page, page.replace("3 May 2027", "cancelled")))
    assert [n for n, (old, new) in enumerate(zip(before, after, strict=True)) if old != new] == [3]


def test_cards_without_links_of_their_own_are_kept_whole() -> None:
    content = read(cards('<div class="e"><strong>{title}</strong><p>{date}</p><p>{place}</p></div>'))
    assert all(part in content.text for event in EVENTS for part in event)


def test_a_listing_of_rows_is_kept_row_by_row() -> None:
    text = kept(
        cards('<tr><td>{date}</td><td><a href="/e/{n}">{title}</a></td><td>{place}</td></tr>', "<table>{}</table>")
    )
    assert all(f"| {date} | {title} | {place} |" in text for title, date, place in EVENTS)


def test_links_are_left_out_of_cards_where_a_source_wants_none() -> None:
    page = f"<html><body>{cards(CARDS['articles'])}</body></html>"
    assert "](" not in kept(page, links="none")
    assert kept(page, links="all").count("](https://example.org/e/") == len(EVENTS)


def test_related_cards_below_an_article_make_no_listing() -> None:
    content = read(f"<h1>Foxes</h1>{f'<p>{PROSE}</p>' * 4}" + cards(CARDS["tiles"]).removeprefix("<h1>Agenda</h1>"))
    assert kind(content) == "article"


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        (
            "<meta name=generator content='DocBook XSL Stylesheets Vsnapshot'>",
            f"<h1>x</h1><p>{PROSE}</p>",
            "documentation",
        ),
        ("", f"<div class=documentwrapper><div role=main><h1>x</h1><p>{PROSE}</p></div></div>", "documentation"),
        ("", f"<h1>x</h1><p>{PROSE}</p>" + "<h2>y</h2><pre>code of it</pre>" * 3, "documentation"),
        ("", "<h1>x</h1><table>" + "<tr><td>one<td>two<td>three</tr>" * 20 + "</table>", "table"),
        ("", f"<h1>x</h1><p>{PROSE}</p>", "article"),
        ("", "<div id=root></div><script src=/a.js></script>", "shell"),
        ("", f"<div id=root><p>{PROSE}</p></div><script src=/a.js></script>", "article"),
        ("", "<p>Closed on Mondays.</p>", "article"),
    ],
)
def test_a_kind_is_recognised_by_what_stands_on_the_page(head: str, body: str, expected: str) -> None:
    content = read(body, head)
    assert kind(content) == expected
    assert content.recognised is not None
    assert content.recognised.evidence


def test_a_table_of_contents_is_text_of_documentation() -> None:
    links = "".join(f"<li><a href=/{n}.html>Chapter {n}</a></li>" for n in range(9))
    generator = "<meta name=generator content='DocBook XSL'>"
    body = f"<div class=navheader><a href=/>Up</a></div><div class=book><h1>Manual</h1><ul>{links}</ul></div>"
    text = kept(body, generator)
    assert text.count("- Chapter") == 9
    assert "Up" not in text


def test_posts_of_a_thread_stay_also_where_they_are_called_comments() -> None:
    posts = "".join(
        f"<div class=comment><b>Ann</b> <i>{n} May 2027</i><p>{PROSE}</p><a href=#r>Reply</a></div>"
        for n in range(1, 6)
    )
    content = read(f"<h1>Foxes?</h1><div class=comments>{posts}</div>")
    assert kind(content) == "thread"
    assert content.text.count(PROSE.strip()) == 5
    assert "Reply" not in content.text
