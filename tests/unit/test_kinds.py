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


CODE = "<pre>make fox\n\n# and run</pre>"
SECTIONS = {
    "years in sentences": "<h2>Step {n}</h2><p>In 191{n} the foxes came to the town.</p>",
    "lists": "<h2>Step {n}</h2><p>These foxes came:</p><ul><li>{n} red ones<li>4 old ones</ul>",
    "links in sentences": "<h2>Step {n}</h2><p>See <a href=/{n}>how it was</a>. " + PROSE + "</p>",
    "code": "<h2><a href=#{n}>Step {n}</a></h2><p>{n} May</p>" + CODE,
    "questions": "<h2><button>What of {n} foxes?</button></h2><div><p>" + PROSE + "</p></div>",
}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_sections_of_a_text_are_no_cards_and_keep_their_headings_lists_and_code(section: str) -> None:
    markup = SECTIONS[section]
    sections = "".join(f"<section>{markup.format(n=n)}</section>" for n in range(1, 6))
    content = read(f"<main><h1>Foxes</h1>{sections}</main>")
    assert kind(content) != "listing"
    assert content.text.count("\n\n## ") == 5
    assert content.text.count("```\nmake fox\n\n# and run\n```") == (5 if section == "code" else 0)
    assert content.text.count("\n- ") == (10 if section == "lists" else 0)


def test_code_in_a_card_is_code_and_a_link_in_a_sentence_is_not_that_of_its_title() -> None:
    cards = "".join(f"<div><h3><a href=/e/{n}>Fox {n}</a></h3><p>{n} May</p></div>" for n in range(60))
    odd = f"<div><h3>Fox without a page</h3><p>7 May</p><p>See <a href=/x>this</a>. {PROSE}</p>{CODE}</div>"
    text = kept(f"<h1>Foxes</h1><div>{cards}{odd}</div>")
    assert "\n\nFox without a page\n7 May\n" in text
    assert "\n```\nmake fox\n\n# and run\n```" in text


def test_a_date_that_scripts_would_write_is_part_of_its_card() -> None:
    markup = '<div><h3><a href="/e/{n}">{title}</a></h3><time datetime="2027-05-0{n}T20:00"></time><p>{place}</p></div>'
    content = read(cards(markup))
    assert kind(content) == "listing"
    assert all(f"\n2027-05-0{n}T20:00\n" in content.text for n in range(1, len(EVENTS) + 1))


def test_an_element_that_holds_nothing_but_a_script_is_empty() -> None:
    assert kind(read("<div id=app><script>" + "start();" * 50 + "</script></div>")) == "shell"


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
