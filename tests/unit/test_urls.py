from contextlib import suppress

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from db.urls import canonical_url, domain_of, slug_of

# Pieces that URLs are made of, and the ones that break parsers, so that random joins are often nearly valid.
PIECES = st.sampled_from(
    [
        "//",
        "..",
        "/../",
        "%2",
        "%2e",
        "%2F",
        "%25",
        "%3b",
        "%41",
        "%E9",
        "%zz",
        *"/.%?&=;+#@:[]|\\aBéß😀~'< \t\n\"\xa0\0\x7f",
    ]
)
TAILS = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)
HOSTS = st.sampled_from(
    ["example.org", "EXAMPLE.org", "bücher.example", "127.0.0.1", "[::1]", "[0:0::1]", "a_b.example", "example.org."]
)
PORTS = st.sampled_from(["", ":", ":80", ":443", ":8000", ":08000"])


@given(st.sampled_from(["http", "https", "HTTP"]), HOSTS, PORTS, TAILS)
@example("http", "example.org", "", "/%%34%31")
@example("http", "example.org", "", "/%%32e%%32e/")
@example("http", "example.org", "", "?wsdl")
@example("http", "example.org", "", "?%3D")
@example("http", "example.org", "", "/?a;b=")
@example("http", "example.org", "", "/==")
def test_canonical_urls_are_their_own_canonical_urls(scheme: str, host: str, port: str, tail: str) -> None:
    try:
        once = canonical_url(f"{scheme}://{host}{port}{tail}")
    except ValueError:
        assume(False)
    assert canonical_url(once) == once
    assert once.isascii()
    assert "#" not in once
    assert domain_of(once) == once.split("/")[2]


@given(st.text(max_size=60) | TAILS.map("http://".__add__))
def test_any_text_is_canonicalised_or_refused_with_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert canonical_url(canonical_url(text)) == canonical_url(text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.org", "http://example.org/"),
        (" HTTP://Example.ORG:80/a#part\n", "http://example.org/a"),
        ("https://example.org:443/", "https://example.org/"),
        ("http://example.org:443/", "http://example.org:443/"),
        ("https://example.org:8443/", "https://example.org:8443/"),
        ("http://user:secret@example.org/a", "http://example.org/a"),
        ("http://bücher.example/straße?q=ü", "http://xn--bcher-kva.example/stra%C3%9Fe?q=%C3%BC"),
        ("http://[0:0::1]:80/a", "http://[::1]/a"),
        ("http://example.org/a/./b/../c", "http://example.org/a/c"),
        ("http://example.org/?b=2&a=1", "http://example.org/?a=1&b=2"),
        ("http://example.org/%7efoo/%e9", "http://example.org/~foo/%E9"),
        ("http://example.org/100%", "http://example.org/100%25"),
        ("http://example.org/a%2Fb", "http://example.org/a%2Fb"),
        ("http://example.org/service?wsdl", "http://example.org/service?wsdl"),
        ("http://example.org/?a=", "http://example.org/?a="),
        ("http://example.org/?", "http://example.org/"),
        ("http://example.org?a=1", "http://example.org/?a=1"),
    ],
)
def test_spellings_of_one_address_become_one_url(url: str, expected: str) -> None:
    assert canonical_url(url) == expected
    assert canonical_url(expected) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "/a",
        "//example.org/",
        "ftp://example.org/",
        "mailto:a@example.org",
        "javascript:void(0)",
        "data:text/html,x",
        "http:",
        "http://",
        "http:///a",
        "http:a",
        "http://:80/",
        "http://[::1/",
        "http://[bad]/",
        "http://example.org:99999/",
        "http://example.org:x/",
        "http://exa mple.org/",
        "http://a..b/",
        "http://-/",
        "http://" + "ü" * 80 + ".example/",
        "http://example.org/\ud800",
    ],
)
def test_what_is_no_absolute_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_url(url)


@pytest.mark.parametrize(
    ("url", "domain", "slug"),
    [
        ("https://docs.example.org/a?b=http://other.example/", "docs.example.org", "docs-example-org"),
        ("https://docs.example.org:443/a", "docs.example.org", "docs-example-org"),
        ("http://127.0.0.1:8000/a", "127.0.0.1:8000", "127-0-0-1-8000"),
        ("http://[::1]:8000/a", "[::1]:8000", "1-8000"),
        ("http://me:secret@example.org/", "example.org", "example-org"),
        ("http://bücher.example", "xn--bcher-kva.example", "xn-bcher-kva-example"),
    ],
)
def test_a_domain_is_the_host_with_a_port_of_its_own(url: str, domain: str, slug: str) -> None:
    assert domain_of(url) == domain
    assert slug_of(url) == slug
