import gzip

import pytest

from lcl_spiders.base_spiders import sitemaps
from lcl_spiders.base_spiders.sitemaps import Entry

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


def test_a_sitemap_index_is_told_from_a_sitemap():
    body = b"<sitemapindex><sitemap><loc>https://example.org/s.xml.gz</loc></sitemap></sitemapindex>"
    assert sitemaps.parse(body) == (True, [Entry("https://example.org/s.xml.gz", None)])


def test_a_plain_list_of_urls_is_a_sitemap():
    assert sitemaps.parse(b"https://example.org/a\nnonsense\n") == (False, [Entry("https://example.org/a", None)])


def test_a_sitemap_cut_short_gives_the_entries_that_arrived():
    is_index, entries = sitemaps.parse(URLSET[: URLSET.index(b"HTTPS")])
    assert (is_index, entries) == (False, ENTRIES[:1])


@pytest.mark.parametrize("body", [b"<html><body>no</body></html>", b"<", b"\x1f\x8bbroken", b"<?xml version='1.0'?>"])
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
