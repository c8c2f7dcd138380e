"""What the tags, roles and names of an element say of it: pure functions over words that sites agree upon.

The words are those that themes and content management systems use for the same parts: WordPress, Drupal, Joomla, TYPO3,
Bootstrap, Magento, phpBB, Sphinx, DocBook, MkDocs, BEM. A name is evidence and no proof: `outline` believes none of an
element that holds the page's main heading or a `main`.
"""

import re
from functools import lru_cache
from itertools import pairwise

_PART = re.compile(r"[a-z]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Utility and state classes that contain a telling word and tell nothing: "has-sidebar", "md:hidden", "no-footer".
_ABOUT_OTHERS = frozenset({"has", "no", "with", "without", "is", "js", "not", "before", "after"})

_ROLES = {
    "navigation": "navigation",
    "menu": "navigation",
    "menubar": "navigation",
    "tablist": "navigation",
    "banner": "header",
    "contentinfo": "footer",
    "complementary": "sidebar",
    "search": "search",
    "dialog": "dialog",
    "alertdialog": "dialog",
    "alert": "dialog",
}
_TAGS = {"nav": "navigation", "aside": "sidebar", "footer": "footer", "header": "header", "dialog": "dialog"}

_WORDS = {
    "navigation": """
        nav navbar navigation navi navheader navfooter navlinks menu mainmenu submenu topmenu menubar breadcrumb
        breadcrumbs crumb crumbs pagination pager paging paginator skiplink skip skipnav topnav sidenav subnav navigator
    """,
    "footer": "footer colophon copyright siteinfo bottombar fineprint imprint foot",
    "header": "masthead siteheader topbar",
    "sidebar": "sidebar aside secondary sphinxsidebar rightcol leftcol rail",
    "cookie": "cookie cookies cookiebar cookiebanner consent gdpr ccpa cookieconsent cookielaw onetrust",
    "share": """
        share sharing sharedaddy addtoany addthis social socials socialmedia shariff sharebar jssocials sharethis
        followus
    """,
    "related": """
        related relatedposts relateds recommended recommendations recommendation outbrain taboola yarpp upsell crosssell
        similar moreposts readmore popular trending
    """,
    "comments": "comments comment respond disqus guestbook commentlist discussion replies reviews",
    "newsletter": "newsletter subscribe subscription signup mailchimp optin mailinglist",
    "advertisement": "ad ads advert adverts advertisement advertisements advertising sponsor sponsored adsense",
    "dialog": "modal popup popover lightbox overlay offcanvas tooltip snackbar",
    "search": "searchform searchbox searchbar facets facet filters",
    "tags": "tagcloud tags taglist",
    "tools": "toolbar printonly noprint editsection headerlink linenos lineno linenumbers buttons loginform",
    "hidden": "visuallyhidden sronly hidden screenreader invisible",
}
_REASONS = {word: reason for reason, words in _WORDS.items() for word in words.split()}

# What one word does not say, two do.
_TWO_WORDS = {
    "header": "site-header page-header region-header top-bar",
    "footer": "site-foot site-info",
    "sidebar": "widget-area side-bar side-box",
    "hidden": "sr-only screen-reader visually-hidden",
    "navigation": "skip-link action-bar bread-crumbs bread-crumb post-navigation",
    "cookie": "cc-window cc-banner",
    "newsletter": "mail-list",
    "search": "search-form",
    "related": "read-next up-next more-posts more-items also-like",
    "tools": "edit-section header-link line-numbers",
}
_PAIRS = {tuple(pair.split("-")): reason for reason, pairs in _TWO_WORDS.items() for pair in pairs.split()}

# An id is as often made of a heading ("storage-toast") as it names an element: all of it must be known.
_AROUND = """
    site main page top left right bottom bar area wrapper wrap container block box widget primary secondary law info
    banner eu region inner section form list notice content sd column col global the div id mod module
"""
_OF_IDS = frozenset(_AROUND.split())
SOFT = frozenset({"comments", "related", "sidebar", "tags"})
"""Reasons that the text around an element may overrule: a thread is made of comments, and a column of teasers may be
all that a page has."""

AMBIGUOUS = frozenset({"navigation", "advertisement", "header", "tools", "share", "search"})
"""Reasons whose words mean something else on some sites: the dishes of a menu, ads of a market, prices of shares."""


@lru_cache(maxsize=8_192)
def reason(tag: str, role: str | None, names: str, identifier: str) -> str | None:
    """Return which part of a site's frame an element says it is: "navigation", "footer", "cookie", …; None for none.

    `names` is the `class` attribute, `identifier` the `id`.
    """
    if role is not None and (said := _ROLES.get(role.strip().lower())):
        return said
    if said := _TAGS.get(tag):
        return said
    if "-" in tag:
        return _said(tag)
    if not names and not identifier:
        return None
    if (said := _said_by_id(identifier)) is not None:
        return said
    return next((said for name in names.split() if (said := _said(name))), None)


def _said_by_id(identifier: str) -> str | None:
    words = _words(identifier)
    return _said(identifier) if all(word in _REASONS or word in _OF_IDS for word in words) else None


def _words(name: str) -> list[str]:
    return _PART.findall(_CAMEL.sub("-", name).lower())


def _said(name: str) -> str | None:
    words = _words(name)
    if not words or ":" in name or words[0] in _ABOUT_OTHERS:
        return None
    for pair in pairwise(words):
        if said := _PAIRS.get(pair):
            return said
    return next((said for word in words if (said := _REASONS.get(word))), None)
