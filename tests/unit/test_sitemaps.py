import gzip

import pytest

from lcl_spiders.base_spiders import sitemaps
from lcl_spiders.extraction.feeds import Entry

URLSET = b"""<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
 <url><loc> https://example.org/a </loc><lastmod>2026-01-02</lastmod></url>
 <url><loc>not a url</loc></url>
 <url><lastmod>2026-01-02</lastmod></url>
 <url><loc>HTTPS://EXAMPLE.org/b#top</loc></url>
</urlset>"""
ENTRIES = [Entry("https://example.org/a", "2026-01-02"), Entry("https://example.org/b", None)]


def test_malformed_entries_are_left_out_one_by_one():
    assert sitemaps.parse(URLSET) == (False, ENTRIES)


def test_a_gzipped_sitemap_is_read():
    assert sitemaps.parse(gzip.compress(URLSET)) == (False, ENTRIES)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize("declared", ["UTF-8", "UTF-16", None])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_byte_order_mark_says_how_a_sitemap_is_read(encoding, declared, pack):
    text = URLSET.decode()
    text = text.replace("UTF-8", declared) if declared else text.partition("\n")[2]
    if encoding == "utf-8-sig":
        text = text.replace("UTF-16", "UTF-8")
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    assert sitemaps.parse(pack((mark + text).encode(encoding))) == (False, ENTRIES)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_does_not_cost_a_list_its_first_url(encoding):
    body = "https://example.org/a\nhttps://example.org/b\n".encode(encoding)
    assert [entry.url for entry in sitemaps.parse(body)[1]] == ["https://example.org/a", "https://example.org/b"]


def test_a_sitemap_index_is_told_from_a_sitemap():
    body = b"<sitemapindex><sitemap><loc>https://example.org/s.xml.gz</loc></sitemap></sitemapindex>"
    assert sitemaps.parse(body) == (True, [Entry("https://example.org/s.xml.gz", None)])


def test_a_plain_list_of_urls_is_a_sitemap():
    assert sitemaps.parse(b"https://example.org/a\nnonsense\n") == (False, [Entry("https://example.org/a", None)])


def test_a_sitemap_cut_short_gives_the_entries_that_arrived():
    is_index, entries = sitemaps.parse(URLSET[: URLSET.index(b"HTTPS")])
    assert (is_index, entries) == (False, ENTRIES[:1])


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>no</body></html>",
        b"<",
        b"\x1f\x8bbroken",
        b"<?xml version='1.0'?>",
        b"",
        b"Not found.\nTry again.",
        gzip.compress(b"Not found.", mtime=0),  # the time would be part of the test's name
        b"\xff\xfe\x00",
    ],
)
def test_a_body_that_is_no_sitemap_says_so(body):
    with pytest.raises(sitemaps.BadSitemap):
        sitemaps.parse(body)


def test_a_gzip_bomb_is_refused():
    with pytest.raises(sitemaps.BadSitemap):
        sitemaps.parse(gzip.compress(b"<urlset>" + b" " * (sitemaps.MAX_BYTES + 1)))


def test_an_entity_bomb_expands_to_nothing():
    bomb = (
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>'
    )
    assert sitemaps.parse(bomb) == (False, [])


def test_robots_txt_names_sitemaps_also_relative_ones():
    robots = b"User-agent: *\nDisallow: /x\nSitemap: /s.xml\nsitemap: https://example.org/t.xml\nSitemap: http://[bad\n"
    assert sitemaps.named_in_robots(robots, "https://example.org/robots.txt") == [
        "https://example.org/s.xml",
        "https://example.org/t.xml",
    ]


def test_a_byte_order_mark_does_not_cost_robots_txt_its_first_line():
    robots = b"\xef\xbb\xbfSitemap: https://example.org/s.xml"
    assert sitemaps.named_in_robots(robots, "https://example.org/robots.txt") == ["https://example.org/s.xml"]


def test_a_comment_is_no_part_of_a_sitemap_that_robots_txt_names():
    robots = b"Sitemap: /s.xml # the news\n# Sitemap: /old.xml\nSitemap: # none\n"
    assert sitemaps.named_in_robots(robots, "https://example.org/robots.txt") == ["https://example.org/s.xml"]
