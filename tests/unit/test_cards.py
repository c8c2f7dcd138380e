import pytest
from lxml.html import document_fromstring

from lcl_spiders.extraction.cards import item_links
from lcl_spiders.extraction.links import folder_of

URL = "https://example.org/agenda"
TEXT = "An evening with songs from the harbour, in the old hall behind the market, at eight."
MENU = "".join(f'<li><a href="/menu/{n}">Menu {n}</a></li>' for n in range(12))
FRAME = (
    f'<header><ul>{MENU}</ul></header><nav class="breadcrumbs"><a href="/">Home</a></nav>'
    f'<div class="sidebar"><ul>{MENU}</ul></div><main><h1>Agenda</h1>{{}}</main>'
    f'<div id="footer"><div class="links">{MENU}</div></div><footer><ul>{MENU}</ul></footer>'
)
EVENTS = [f"/event/{n}" for n in range(1, 6)]


def found(listing: str, frame: str = FRAME, **options: frozenset[str]) -> list[str]:
    tree = document_fromstring(f"<html><body>{frame.format(listing)}</body></html>")
    targets = item_links(tree, URL, lambda url: url.startswith("https://example.org/"), **options)
    return [target.removeprefix("https://example.org") for target in targets]


def each(card: str, start: str = "", end: str = "") -> str:
    return start + "".join(card.format(n=n, text=TEXT, odd="odd" if n % 2 else "even") for n in range(1, 6)) + end


@pytest.mark.parametrize(
    "listing",
    [
        each('<li class="card"><a href="/event/{n}">Evening {n}</a> {text}</li>', "<ul>", "</ul>"),
        each('<li><a href="/event/{n}">Evening {n}</a></li>', "<ul>", "</ul>"),
        each(
            '<div class="card {odd}"><a href="/event/{n}"><img src="{n}.jpg" alt=""></a>'
            '<h3><a href="/event/{n}">Evening {n}</a></h3><p>{text}</p></div>',
            '<div class="grid">',
            "</div>",
        ),
        each(
            '<article class="post-{n} type-post category-{n}">'
            '<header><h2><a href="/event/{n}">Evening {n}</a></h2></header>'
            '<p>{text} <a class="more" href="/event/{n}#more">Read more</a></p>'
            '<footer><a href="/tag/{n}">songs</a> <a href="/venue/1">The hall</a></footer></article>'
        ),
        each('<div><a href="/event/{n}">Evening {n}</a><a href="/venue/{n}">Hall {n}</a>{text}</div>'),
        each('<a class="tile" href="/event/{n}"><h3>Evening {n}</h3><p>{text}</p></a>', "<div>", "</div>"),
        each(
            '<tr><td>{n} May</td><td><a href="/event/{n}">Evening {n}</a></td>'
            '<td><a href="/venue/{n}">Hall</a></td></tr>',
            "<table><tr><th>Day</th><th>What</th><th>Where</th></tr>",
            "</table>",
        ),
        each(
            '<section class="day"><h2>{n} May</h2><ul><li><time>20:00</time><a href="/event/{n}">Evening</a></li></ul>'
            "</section>"
        ),
        each('<dt><a href="/event/{n}">Evening {n}</a></dt><dd>{text}</dd>', "<dl>", "</dl>"),
        each(
            '<div class="css-{n}x"><h4>Evening {n}</h4><p>{text}</p><a class="btn" href="/event/{n}">Tickets</a></div>'
        )
        + '<ul class="themes">'
        + "".join(f'<li><a href="/theme/{n}">Theme {n}</a></li>' for n in range(20))
        + "</ul>",
    ],
    ids=["ul", "plain-ul", "two-links", "wordpress", "siblings", "tiles", "table", "days", "dl", "tickets"],
)
def test_the_items_of_every_common_markup_are_found_and_nothing_else(listing):
    assert found(listing) == EVENTS


def test_every_day_of_a_calendar_is_an_item():
    weeks = ["<tr>" + "".join(f"<td>{_day(week * 7 + day)}</td>" for day in range(7)) + "</tr>" for week in range(4)]
    assert found(f'<table class="calendar">{"".join(weeks)}</table>') == [f"/day/{n}" for n in range(28) if n % 3 == 0]


def _day(number: int) -> str:
    return f'{number}<a href="/day/{number}">Concert</a>' if number % 3 == 0 else str(number)


def test_a_card_with_an_odd_class_is_an_item_all_the_same():
    cards = each('<div class="card"><h3><a href="/event/{n}">Evening {n}</a></h3><p>{text}</p></div>')
    first = '<div class="sold-out card"><a href="/x/all">x</a><h2><a href="/event/0">Evening 0</a></h2></div>'
    advert = '<div class="advert"><a href="/buy">Buy</a></div>'
    assert found(f'<div class="list">{first}{cards}{advert}</div>') == ["/event/0", *EVENTS]


def test_an_agenda_grouped_by_day_gives_the_items_of_each_day():
    days = [
        f"<section><h2>{n}</h2><ul>{''.join(f'<li><a href=/event/{n}-{m}>x</a></li>' for m in range(n))}</ul></section>"
        for n in range(1, 4)
    ]
    assert found("".join(days)) == ["/event/1-0", "/event/2-0", "/event/2-1", "/event/3-0", "/event/3-1", "/event/3-2"]


@pytest.mark.parametrize(
    "listing",
    [
        "",
        "<p>" + TEXT + "</p>",
        '<ul><li><a href="/event/1">One</a></li><li><a href="/event/2">Two</a></li></ul>',
        "".join(f'<div><a href="https://other.org/{n}">{TEXT}</a></div>' for n in range(5)),
        "".join(f'<div><a rel="nofollow" href="/event/{n}">{TEXT}</a></div>' for n in range(5)),
        "".join(f'<div><a href="#{n}">{TEXT}</a></div>' for n in range(5)),
        "".join(f'<div><a href="/event/1?utm_source={n}">{TEXT}</a></div>' for n in range(5)),
    ],
    ids=["nothing", "text", "two", "other-domain", "nofollow", "fragments", "one-page"],
)
def test_a_page_on_which_nothing_repeats_has_no_items(listing):
    assert found(listing) == []


def test_a_page_with_too_few_items_has_those_that_are_where_others_were():
    listing = '<ul><li><a href="/event/9">Nine</a></li></ul><p><a href="/about">About</a></p>'
    assert found(listing, folders=frozenset({folder_of("https://example.org/event/1")})) == ["/event/9"]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("/event/1", "/event/2", True),
        ("/event/1/", "/event/2", True),
        ("/detail?id=1", "/detail?id=2", True),
        ("/detail?id=1", "/detail?venue=2", False),
        ("/event/1", "/about", False),
    ],
)
def test_pages_of_one_kind_are_in_one_folder(one, other, alike):
    assert (folder_of(f"https://example.org{one}") == folder_of(f"https://example.org{other}")) is alike


def test_a_page_of_links_without_end_is_read_up_to_a_bound():
    listing = "".join(f'<p><a href="/event/{n}">x</a></p>' for n in range(6_000))
    assert len(found(listing, frame="{}")) == 5_000
