"""Pages that say in words that they are not there are told from real ones (soft 404)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcl_spiders.base_spiders.not_found import NotFoundTemplate, Text
from tests.support.missing_pages import (
    ARTICLE,
    ECHO,
    HOME,
    IMPRINT,
    LARGE,
    NAVIGATION,
    PROBES,
    SHOPIFY,
    SITES,
    WORDPRESS,
    Site,
    page,
)

every_site = pytest.mark.parametrize("site", SITES.values(), ids=SITES)


@every_site
def test_a_missing_page_is_recognised(site: Site):
    for url in [*PROBES, *site.missing]:
        assert site.template.matches(site.answer(url)), url


@every_site
def test_a_real_page_never_matches(site: Site):
    article = page("/article", "Boats", ARTICLE)
    message = site.answer(HOME + "/about-error-pages")
    quoting = [
        replace(message, title="About error pages", content=f"# About error pages\n\n{message.content}"),
        replace(message, content=f"{ARTICLE}\n\n{message.content}"),
        replace(message, content=f"{message.content}\n\n{ARTICLE}"),
        replace(message, title=ARTICLE),
    ]
    for each in [*site.real, *site.existing, article, *quoting]:
        assert not site.template.matches(each), each


@every_site
def test_one_probe_says_at_least_no_lies(site: Site):
    template = NotFoundTemplate.learn(site.probes[:1], site.real)
    assert template is not None
    assert template.matches(site.probes[0])
    for each in [*site.real, *site.existing]:
        assert not template.matches(each), each


@every_site
def test_nothing_is_deleted_where_only_unlike_pages_are_known(site: Site):
    other = page("/", "Start", "# Another layout", "This page shares nothing with the others.")
    template = NotFoundTemplate.learn(site.probes, [other])
    if template is not None:
        assert not any(template.matches(each) for each in [other, *site.real, *site.existing])


@every_site
def test_without_a_real_page_only_a_named_status_is_believed(site: Site):
    template = NotFoundTemplate.learn(site.probes, [])
    assert (template is not None) == (site is SHOPIFY)
    if template is not None:
        assert all(template.matches(site.answer(url)) for url in site.missing)
        assert not any(template.matches(each) for each in [*site.real, *site.existing])


OWN = st.lists(
    st.sampled_from(["halyard", "spinnaker", "bosun", "12", "7b", "1921", "keel", "windlass"]), min_size=50, max_size=80
)


@given(st.sampled_from(list(SITES.values())), OWN, st.data())
def test_a_page_with_fifty_words_of_its_own_never_matches(site: Site, own: list[str], data: st.DataObject):
    answer = site.answer(HOME + "/keel/windlass")
    lines = answer.content.split(" ")
    cut = data.draw(st.integers(0, len(own)))
    for part in (own[:cut], own[cut:]):
        at = data.draw(st.integers(0, len(lines)))
        lines[at:at] = part
    assert not site.template.matches(replace(answer, content=" ".join(lines)))
    assert not site.template.matches(replace(answer, title=f"{answer.title} {' '.join(own)}"))


@given(st.sampled_from(list(SITES.values())), st.text(max_size=300), st.none() | st.text(max_size=40))
def test_any_other_text_is_not_the_template(site: Site, content: str, title: str | None):
    if content.strip().casefold() != "not found":
        assert not site.template.matches(Text(HOME + "/any", title, content))


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("", None),
        ("", "Harbour App"),
        ("---", "Harbour App"),
        ("Loading", "Harbour App"),
        ("You need to enable JavaScript to run this app.", "Harbour App"),
        ("Please complete the captcha to continue to the harbour.", "One moment"),
        (f"{NAVIGATION}\n\n{IMPRINT}", "All the islands"),
    ],
    ids=["nothing", "title", "marks", "one word", "script wall", "captcha", "boilerplate"],
)
def test_an_empty_shell_is_no_template(content: str, title: str | None):
    real = [*LARGE.real, page("/a", "Harbour", ARTICLE)]
    assert NotFoundTemplate.learn([Text(url, title, content) for url in PROBES], real) is None


def test_a_site_that_shows_its_start_page_has_no_template():
    start = page("/", "Island Ferries", ARTICLE, "Guests say: a calm crossing, and friendly people on board.")
    shown = [replace(start, url=url, content=start.content.replace("calm", "lively")) for url in PROBES]
    assert NotFoundTemplate.learn([replace(start, url=url) for url in PROBES], [start]) is None
    assert NotFoundTemplate.learn(shown, [start]) is None


def test_answers_that_have_little_in_common_are_no_template():
    shown = [Text(url, "Boats", " ".join(f"{word}{url[-3:]}" for word in ARTICLE.split())) for url in PROBES]
    assert NotFoundTemplate.learn([replace(each, content=f"See also: {each.content}") for each in shown], []) is None
    assert NotFoundTemplate.learn(shown, [page("/", "Start", "# Welcome", "To the harbour.")]) is None


def test_no_probe_no_template():
    assert NotFoundTemplate.learn([], [page("/", "Start", ARTICLE)]) is None


def test_a_title_says_enough_when_it_names_the_status():
    probes = [Text(url, "404 Not Found", "") for url in PROBES]
    template = NotFoundTemplate.learn(probes, [])
    assert template is not None
    assert template.matches(page("/gone", "404 Not Found", ""))
    assert not template.matches(page("/contact", "404 Not Found", "Call 12."))
    assert not template.matches(page("/empty", "", ""))
    assert NotFoundTemplate.learn([replace(each, title="Page not found") for each in probes], []) is None


def test_a_status_that_stands_in_the_address_only_is_an_echo():
    probes = [Text(f"{HOME}/404-{word}", "Welcome", f"404 {word}: have a look at our boats") for word in ("qzv", "wjx")]
    assert NotFoundTemplate.learn(probes, []) is None


def test_a_table_of_numbers_is_content():
    tides = " ".join(f"{hour}:{minute:02}" for hour in range(24) for minute in (7, 32))
    answer = ECHO.answer(HOME + "/tides")
    assert ECHO.template.matches(answer)
    assert not ECHO.template.matches(replace(answer, content=f"{answer.content} {tides}"))


def test_words_of_the_address_are_a_pages_own_where_the_site_does_not_repeat_them():
    boats = page("/boats/keel", WORDPRESS.probes[0].title, WORDPRESS.probes[0].content + "\n\nboats keel " * 5)
    assert not WORDPRESS.template.matches(boats)


def test_words_of_the_address_are_a_pages_own_beyond_what_the_site_repeats():
    answer = ECHO.answer(HOME + "/boats/keel")
    assert ECHO.template.matches(answer)
    assert not ECHO.template.matches(replace(answer, content=answer.content + "\n\nboats keel " * 5))
