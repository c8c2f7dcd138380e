"""What stays of a page, and what does not, where names say what is what and where they do not."""

import pytest

from tests.support.extraction import PROSE, kept, read, reasons

ARTICLE = f"<h1>Foxes of the harbour</h1><p>{PROSE}</p><p>{PROSE}</p>"
MENU = "".join(f"<li><a href=/{n}>Part {n}</a></li>" for n in range(8))
BARE = f"# Foxes of the harbour\n\n{PROSE.strip()}\n\n{PROSE.strip()}"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"<nav><ul>{MENU}</ul></nav>{{}}", "navigation"),
        (f"<div class=main-menu><ul>{MENU}</ul></div>{{}}", "navigation"),
        (f"<div><ul>{MENU}</ul></div><div>{{}}</div>", "before the main heading"),
        (f"<div>{{}}</div><div><ul>{MENU}</ul></div>", "outside the main part"),
        ("{}<footer><p>The society of foxes has an office in the old harbour, as you may know.</p></footer>", "footer"),
        ("{}<div><p>© 2026 The society of foxes, whose office is in the old harbour</p></div>", "footer"),
        (f"{{}}<div><h3>You may also like</h3><ul>{MENU}</ul></div>", "related"),
        (f"{{}}<h3>Gerelateerde artikelen</h3><ul>{MENU}</ul>", "related"),
        (
            "{}<section><h3>2 reacties</h3><div><b>Ann</b> <p>I have seen one at my aunt's.</p></div></section>",
            "comments",
        ),
        ("{}<div class=comments-area><p>I have seen one of them in the garden of my aunt.</p></div>", "comments"),
        ("<div><p>We use cookies. <a href=/c>More</a></p><button>Accept</button></div>{}", "cookie"),
        ("{}<div class=cookie-consent><p>We like to know what you do here.</p></div>", "cookie"),
        ("{}<div><p>Every week our news in your mail.</p><form><input type=email></form></div>", "form"),
        ("<p style='display: none'>Foxes cannot read this sentence, and neither can you.</p>{}", "hidden"),
        (
            "{}<p><a href=https://a.example>Share on A</a> <a href=https://b.example>Share on B</a></p>",
            "links",
        ),
        ("<site-header>The society of foxes and of those who like them</site-header>{}", "header"),
    ],
)
def test_what_is_no_main_text_is_left_out_and_why_is_said(body: str, reason: str) -> None:
    content = read(body.format(ARTICLE))
    assert content.text == BARE
    assert reason in reasons(content)


@pytest.mark.parametrize(
    "body",
    [
        "<div class=has-sidebar>{}</div>",
        "<div class='footer-wrapper navigation'>{}</div>",
        "<main class=comments>{}</main>",
        "<div id=storage-toast-menu>{}</div>",
        "<div class='md:hidden no-cookie'>{}</div>",
        "<article><header>{}</header></article>",
        "<div><div><div>{}</div></div></div>",
        "<form>{}</form>",
        "<table><tr><td>{}</td></tr></table>",
    ],
)
def test_a_name_is_not_believed_of_what_holds_the_main_text(body: str) -> None:
    assert kept(body.format(ARTICLE)) == BARE


def test_sections_with_ids_made_of_their_headings_are_text() -> None:
    sections = "".join(
        f"<section id={name}><h2>{name.title()}</h2><p>{PROSE}</p></section>" for name in ("footer", "related", "menu")
    )
    text = kept(f"<main><h1>Parts of a page</h1>{sections}</main>")
    assert text.count(PROSE.strip()) == 3


def test_links_between_paragraphs_belong_to_the_text() -> None:
    text = kept(f"<main><h1>Foxes</h1><p>{PROSE}</p><ul>{MENU}</ul><p>{PROSE}</p></main>")
    assert "- Part 1\n- Part 2" in text


def test_the_heading_above_the_columns_stays() -> None:
    hero = "<div class=hero><h1>Foxes</h1></div>"
    assert kept(f"{hero}<main><p>{PROSE}</p></main>") == f"# Foxes\n\n{PROSE.strip()}"


def test_the_title_tells_the_heading_of_the_page_from_that_of_the_site() -> None:
    body = f"<div><h1>The society</h1><p>Since 1921, in the harbour.</p></div><div><h2>Foxes</h2><p>{PROSE}</p></div>"
    assert kept(body, head="<title>Foxes | The society</title>") == f"## Foxes\n\n{PROSE.strip()}"


def test_headings_that_are_links_to_themselves_stay() -> None:
    body = f"<main><h1><a href=#a>Foxes</a></h1><p>{PROSE}</p><h2><a href=#b>Dens</a></h2><p>{PROSE}</p></main>"
    assert kept(body) == f"# Foxes\n\n{PROSE.strip()}\n\n## Dens\n\n{PROSE.strip()}"


def test_a_search_box_beside_a_short_text_does_not_take_it_along() -> None:
    body = (
        "<div><form><input type=search></form><main><h2>Foxes</h2><p>They live in the old harbour now.</p></main></div>"
    )
    assert kept(body) == "## Foxes\n\nThey live in the old harbour now."


def test_what_a_title_ends_with_is_the_name_of_the_site() -> None:
    body = f"<div><h1>The society</h1></div><div><h1>1. Foxes</h1><p>{PROSE}</p></div>"
    assert kept(body, head="<title>Foxes - The society</title>") == f"# 1. Foxes\n\n{PROSE.strip()}"


def test_what_a_text_says_of_its_own_copyright_stays() -> None:
    body = f"<h1>Legal notice</h1><p>Foxes are © 1996 by the society.</p><p>{PROSE}</p><p>{PROSE}</p>"
    assert "© 1996" in kept(body)


def test_a_text_about_cookies_is_text() -> None:
    body = f"<main><h1>Biscuits</h1><p>How to bake cookies, see <a href=/x>here</a>.</p><p>{PROSE}</p></main>"
    assert "bake cookies" in kept(body)


def test_a_column_that_is_called_a_sidebar_stays_where_all_text_is_in_it() -> None:
    assert PROSE.strip() in kept(f"<div>Foxes</div><div class=sidebar><p>{PROSE}</p><p>{PROSE}</p></div>")


def test_a_poor_result_falls_back_to_the_next_way() -> None:
    content = read(f"<canvas><p>{PROSE}</p></canvas>")
    assert content.text == PROSE.strip()
    assert content.extractor == "trafilatura"
    assert [way.partition(":")[0] for way in content.tried] == ["article", "trafilatura"]


SCRIPT = f"<script>{'run();' * 5_000}</script>"
FOXES = ("red fox", "old fox", "grey fox", "quick fox", "brown fox", "lazy fox")
DISHES = "".join(
    f"<div class=menu-item><h3>Soup of the {fox}</h3><p>with bread, butter and a view of the harbour</p></div>"
    for fox in FOXES
)


@pytest.mark.parametrize("around", ["<div class=menu>{}</div>", "<div class=menu-list>{}</div>", "{}"])
@pytest.mark.parametrize("script", ["", SCRIPT])
def test_the_dishes_of_a_menu_are_no_navigation(around: str, script: str) -> None:
    text = kept(f"<nav><ul>{MENU}</ul></nav><h1>The tavern</h1>{around.format(DISHES)}{script}")
    assert text.count("with bread, butter") == len(FOXES)
    assert "Part 3" not in text


@pytest.mark.parametrize("tag", ["nav", "footer"])
def test_a_script_in_a_part_of_the_frame_is_no_text_of_it(tag: str) -> None:
    sentence = "The society of foxes has an office in the old harbour, as you may know."
    content = read(f"{ARTICLE}<{tag}><p>{sentence}</p>{SCRIPT}</{tag}>")
    assert content.text == BARE
    assert content.outline is not None
    assert content.outline.skipped_chars == len(sentence)


def test_panels_that_a_reader_opens_are_text_and_what_is_hidden_for_good_is_not() -> None:
    panels = f"<div role=tabpanel hidden><h2>Dens</h2><p>{PROSE}</p></div><p hidden=until-found>Foxes may be found.</p>"
    text = kept(f"<main>{ARTICLE}{panels}<p hidden>Never shown to anybody.</p></main>")
    assert text == f"{BARE}\n\n## Dens\n\n{PROSE.strip()}\n\nFoxes may be found."


def test_the_last_section_of_an_index_stays_as_those_before_it() -> None:
    sections = "".join(f"<h2>{c}</h2><p><a href=/{c}1>{c}sted</a>, <a href=/{c}2>{c}dorp</a></p>" for c in "ABCDEF")
    text = kept(f"<main><h1>Towns</h1>{sections}</main>")
    assert [line for line in text.split("\n\n") if "sted" in line] == [f"{c}sted, {c}dorp" for c in "ABCDEF"]


def test_the_footer_of_a_page_that_says_little_is_a_footer_all_the_same() -> None:
    footer = "<footer><p>The society of foxes, 4 Harbour Street, is open on all days from nine to five.</p></footer>"
    content = read(f"<main><h1>Contact</h1><p>Call 0123.</p></main>{footer}")
    assert content.text == "# Contact\n\nCall 0123."
    assert "footer" in reasons(content)


def test_two_links_may_be_all_that_a_page_has() -> None:
    links = "<ul><li><a href=/1.pdf>Rules for foxes</a><li><a href=/2.pdf>Rules for dogs</a></ul>"
    text = kept(f"<nav><ul>{MENU}</ul></nav><main><h1>Rules</h1>{links}</main><div><ul>{MENU}</ul></div>")
    assert text == "# Rules\n\n- Rules for foxes\n- Rules for dogs"
