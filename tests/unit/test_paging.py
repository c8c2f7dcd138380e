import pytest
from lxml.html import document_fromstring

from lcl_spiders.extraction.links import selected
from lcl_spiders.extraction.paging import next_pages

URL = "https://example.org/agenda?page=2"


def found(body: str, url: str = URL) -> list[str]:
    page = f"<!doctype html><html><head><title>Agenda</title></head><body>{body}</body></html>"
    return [target.removeprefix("https://example.org") for target in next_pages(document_fromstring(page), url)]


@pytest.mark.parametrize(
    "pager",
    [
        '<a rel="next" href="?page=3">more</a><a rel="prev" href="?page=1">less</a>',
        '<link rel="next" href="/agenda?page=3">',
        '<a href="?page=1">Previous</a><a href="?page=3">Next</a>',
        '<a href="?page=1">« Vorige</a> <a href="?page=3">Volgende »</a>',
        '<a href="?page=1">Zurück</a> <a href="?page=3"><span>Weiter</span> →</a>',
        '<a href="?page=3">Nächste Seite</a>',
        '<a href="?page=1">Page précédente</a><a href="?page=3">Page suivante</a>',
        '<a href="?page=1">Anterior</a><a href="?page=3">Siguiente</a>',
        '<a href="?page=3">Pagina successiva</a>',
        '<a href="?page=3">Próxima página</a>',
        '<a href="?page=3">Следующая</a>',
        '<a href="?page=3">次へ</a>',
        '<a href="?page=3">Next (21–40)</a>',
        '<a href="?page=3" aria-label="Ga naar de volgende pagina"><svg></svg></a>',
        '<a href="?page=3" title="Next page"><i class="icon"></i></a>',
        '<a href="?page=3"><img src="r.gif" alt="Next"></a>',
        '<li class="prev"><a href="?page=1">&lt;</a></li><li class="next"><a href="?page=3">&gt;</a></li>',
        '<a class="nextpostslink" href="?page=3">…</a>',
        '<a class="page-numbers pagination__next" href="?page=3"><svg></svg></a>',
        '<a href="?page=1">‹</a><a href="?page=3">›</a>',
        '<a href="?page=1">«</a><a href="?page=3">»</a>',
        '<a href="?page=1">«</a><a href="?page=1">‹</a><a href="?page=3">›</a><a href="?page=9">»</a>',
        '<a href="?page=1">1</a> <b>2</b> <a href="?page=3">3</a> <a href="?page=4">4</a> … <a href="?page=9">9</a>',
        '<ul><li><a href="?page=1">1</a></li><li class="active"><a href="?page=2">2</a></li>'
        '<li><a href="?page=3">3</a></li></ul>',
        '<ul><li><a href="?page=1">1</a></li><li><a aria-current="page" href="/agenda?p=2">2</a></li>'
        '<li><a href="?page=3">3</a></li></ul>',
        '<table><tr><td><a href="?page=1">1</a></td><td>2</td><td><a href="?page=3">3</a></td></tr></table>',
        '<p>Page <strong>2</strong> of <em>9</em>: <a href="?page=1">1</a> <a href="?page=3">3</a></p>',
        '<a href="?page=3">Load more</a>',
    ],
)
def test_the_next_page_is_found_in_every_common_pager(pager):
    assert found(f"<main>{pager}</main>") == ["/agenda?page=3"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        '<a href="?page=1">Previous</a>',
        '<a href="?page=1">1</a> <b>2</b>',
        '<a class="next disabled" href="?page=3">Next</a>',
        '<li class="disabled"><a href="?page=3">Next</a></li>',
        '<a href="#">Next</a><a href="javascript:go()">Next</a><a href="?page=2">Next</a>',
        '<a rel="next nofollow" href="?page=3">Next</a>',
        '<div class="swiper"><a class="swiper-button-next" href="?slide=2">›</a></div>',
        '<h2>The next big thing</h2><a href="/the-next-big-thing">The next big thing</a>',
        "".join(f'<div class="card"><a href="/event/{n}">»</a></div>' for n in range(9)),
        "".join(f'<div class="card"><a href="/event/{n}">Weiter</a></div>' for n in range(9)),
        "".join(f'<div class="card"><a href="/event/{n}/comments">{n * 3}</a><span>12</span></div>' for n in range(9)),
        '<ul class="years"><li><a href="/2024">2024</a></li><li><a href="/2025">2025</a></li></ul>',
        "<table>"
        + "".join(
            "<tr>" + "".join(f'<td><a href="/day/{w * 7 + d + 1}">{w * 7 + d + 1}</a></td>' for d in range(7)) + "</tr>"
            for w in range(4)
        )
        + "</table>",
    ],
    ids=lambda body: body[:40],
)
def test_what_is_no_pager_leads_on_to_nothing(body):
    assert found(f"<main>{body}</main>") == []


def test_a_row_of_numbers_without_a_mark_gives_all_of_them():
    row = " ".join(f'<a href="?page={n}">{n}</a>' for n in (1, 2, 3))
    assert found(f"<p>{row}</p>", "https://example.org/agenda") == [f"/agenda?page={n}" for n in (1, 2, 3)]


def test_a_row_of_numbers_leaves_out_the_page_itself_without_a_mark():
    row = " ".join(f'<a href="?page={n}">{n}</a>' for n in (1, 2, 3))
    assert found(f"<p>{row}</p>", "https://example.org/agenda?page=1") == ["/agenda?page=2"]


def test_a_calendar_leads_to_its_next_month():
    pager = '<a href="/calendar/2026-10">Vorige maand</a><a href="/calendar/2026-12">Volgende maand</a>'
    assert found(pager, "https://example.org/calendar/2026-11") == ["/calendar/2026-12"]


def test_links_are_resolved_against_the_base_of_the_page():
    page = document_fromstring('<html><head><base href="/x/"></head><body><a href="2">Next</a></body></html>')
    assert next_pages(page, "https://example.org/agenda") == ["https://example.org/x/2"]


@pytest.mark.parametrize("css", [".more", "a.onward", ".more a"])
def test_a_selector_finds_links_or_what_contains_them(css):
    page = document_fromstring(
        '<body><p class="more"><a class="onward" href="?page=3">x</a></p><a href="/y">y</a></body>'
    )
    assert selected(page, URL, css) == ["https://example.org/agenda?page=3"]
