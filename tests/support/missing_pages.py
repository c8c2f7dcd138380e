"""Sites, and what each of them answers for pages that are not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lcl_spiders.base_spiders.not_found import NotFoundTemplate, Text

HOME = "https://example.org"
PROBES = (f"{HOME}/9f86d081884c7d659a2feaa0", f"{HOME}/c55ad0150a3b/f4f1b2b0b822cd15.html")
ARTICLE = """Boats to the islands leave from the old harbour every morning at nine, at noon and at three in the
afternoon. In the winter months the crossing takes somewhat longer, because the ferry has to follow the dredged channel
round the sandbank. Dogs travel free of charge; bicycles need a reservation, which the office on the quay takes until
the evening before. Whoever misses the last boat back finds rooms above the inn, and a warm meal until ten."""


@dataclass
class Site:
    """A site's pages: `answer` makes what it says for a URL that does not exist."""

    answer: Callable[[str], Text]
    real: list[Text]
    existing: list[Text]
    missing: list[str] = field(
        default_factory=lambda: [
            f"{HOME}/boats/old-timetable-2019",
            f"{HOME}/page",
            f"{HOME}/2024/03/the-page-that-was-found.html",
            f"{HOME}/news/?id=17&page=2",
            f"{HOME}/stra%C3%9Fe/%C3%BCber-uns/",
        ]
    )

    @property
    def probes(self) -> list[Text]:
        return [self.answer(url) for url in PROBES]

    @property
    def template(self) -> NotFoundTemplate:
        template = NotFoundTemplate.learn(self.probes, self.real)
        assert template is not None
        return template


def page(path: str, title: str | None, *content: str) -> Text:
    return Text(HOME + path, title, "\n\n".join(content))


def echo(url: str) -> str:
    return url.removeprefix(HOME).partition("?")[0]


def number(url: str) -> int:
    """A number that every URL has another of."""
    return sum(ord(char) * place for place, char in enumerate(url, 7))


# WordPress, twentytwenty: a sidebar on every page but the first.
SIDEBAR = """## Recent Posts

- The winter timetable
- A new ferry is launched
- Notes from the shipyard
- Storm closes the quay

## Archives

- March 2026
- February 2026
- January 2026

## Categories

- Boats
- Harbour
- Uncategorized

## Meta

- Log in
- Entries feed
- Comments feed
- WordPress.org"""
WORDPRESS_TEXT = """# Oops! That page can’t be found.

It looks like nothing was found at this location. Maybe try a search?

Search for:"""
WORDPRESS = Site(
    lambda url: Text(url, "Page not found – Island Ferries", f"{WORDPRESS_TEXT}\n\n{SIDEBAR}"),
    real=[page("/", "Island Ferries – Boats to the islands", "# Island Ferries", ARTICLE)],
    existing=[
        page("/contact", "Contact – Island Ferries", "# Contact", "Old Quay 3, phone 0123 456 789", SIDEBAR),
        page("/contact/form", "Contact – Island Ferries", "# Contact", "Search for:", SIDEBAR),
        page("/thanks", "Thank you – Island Ferries", SIDEBAR),
        page("/404", "404 – Island Ferries", "# 404", SIDEBAR),
        page(
            "/theming",
            "Theming the 404 page – Island Ferries",
            "# Theming the 404 page",
            "Our theme says:",
            WORDPRESS_TEXT,
            "Change it in `404.php`.",
            SIDEBAR,
        ),
    ],
)

# Shopify, Dawn: short, and a footer.
FOOTER = """Quick links

- Search
- Shipping policy
- Refund policy

Subscribe to our emails

© 2026, Harbour Goods Powered by Shopify"""
SHOPIFY_TEXT = """404

# Page not found

Continue shopping"""
SHOPIFY = Site(
    lambda url: Text(url, "404 Not Found – Harbour Goods", f"{SHOPIFY_TEXT}\n\n{FOOTER}"),
    real=[page("/", "Harbour Goods", "# Ropes and sails", "Free shipping on everything above 50 euros.", FOOTER)],
    existing=[
        page("/cart", "Your Shopping Cart – Harbour Goods", "# Your cart is empty", "Continue shopping", FOOTER),
        page("/products/404", "404 rope – Harbour Goods", "# 404 rope", "404 metres of rope.", FOOTER),
        page("/pages/contact", "Contact – Harbour Goods", "# Contact", "Write to rope@example.org.", FOOTER),
        page("/policies", "Page not found – Harbour Goods", "# Refunds", "Send it back within 14 days.", FOOTER),
    ],
)

# A single-page application: one title, a shell with text, and the message of its router.
SHELL = "Harbour App is the companion for sailors. You need to enable JavaScript to run this app."
SPA_TEXT = "This page could not be found. Go back to the dashboard."
SPA = Site(
    lambda url: Text(url, "Harbour App", f"{SHELL}\n\n{SPA_TEXT}"),
    real=[page("/", "Harbour App", SHELL, "# Today", "High water at 10:42, low water at 16:55, wind west 4.")],
    existing=[
        page("/tides", "Harbour App", SHELL, "High water 11:30."),
        page("/empty", "Harbour App", SHELL),
        page("/help", "Harbour App", SHELL, "# Help", "Where it says", SPA_TEXT, "the link was mistyped."),
        page("/help/2", "Harbour App", SHELL, SPA_TEXT, "This means that the link was mistyped."),
        page("/help/3", "Harbour App", SHELL, "What to do about:", SPA_TEXT),
        page("/help/4", "Harbour App", "What to do about:", SHELL, SPA_TEXT),
    ],
)

GERMAN_TEXT = """# Seite nicht gefunden

Die von Ihnen gewünschte Seite existiert leider nicht oder wurde verschoben. Bitte prüfen Sie die Adresse, oder kehren
Sie zur Startseite zurück."""
IMPRINT = "Impressum | Datenschutz | Barrierefreiheit"
GERMAN = Site(
    lambda url: Text(url, "Seite nicht gefunden | Gemeinde Hafenstadt", f"{GERMAN_TEXT}\n\n{IMPRINT}"),
    real=[
        page(
            "/",
            "Gemeinde Hafenstadt",
            "# Willkommen",
            "Die Gemeinde liegt an der See und hat 4.200 Einwohner.",
            IMPRINT,
        )
    ],
    existing=[
        page("/kontakt", "Kontakt | Gemeinde Hafenstadt", "# Kontakt", "Rathausplatz 1, Tel. 04321 1234", IMPRINT),
        page("/seite", "Seite | Gemeinde Hafenstadt", "# Seite", "Diese Seite wurde verschoben.", IMPRINT),
        page("/fund", "Fundbüro | Gemeinde Hafenstadt", "# Fundbüro", "Nicht gefunden? Bitte fragen.", IMPRINT),
        page("/blog", "Fehlerseiten | Gemeinde Hafenstadt", "Neu:", GERMAN_TEXT, "Was sagen Sie dazu?", IMPRINT),
    ],
)

# Random pages of the shop, other ones at every request.
GOODS = [
    *("Braided mooring line", "Stainless steel shackle", "Inflatable life jacket", "Brass porthole with hinges"),
    *("Solar powered cabin fan", "Folding grapnel anchor", "Waterproof chart case", "Teak deck cleaner"),
    *("Handheld depth sounder", "Cotton sailor sweater", "Enamel coffee mug", "Paraffin table lamp"),
    *("Signal flag set", "Copper kettle", "Knot tying board", "Hemp fender"),
]
SUGGESTIONS_TEXT = (
    "# Sorry, we could not find that\n\nThe product may be sold out, or the link is broken.\n\nDid you mean:"
)


def with_suggestions(url: str) -> Text:
    goods = "\n".join(f"- [{GOODS[(number(url) * step + step) % 16]}]({HOME}/p/{step})" for step in (3, 5, 7))
    return Text(url, "Nothing found | Chandler", f"{SUGGESTIONS_TEXT}\n\n{goods}\n\nOr search for something else.")


SUGGESTIONS = Site(
    with_suggestions,
    real=[page("/", "Chandler", "# Everything for the boat", "Ropes, anchors, lamps and warm clothes since 1921.")],
    existing=[
        page("/p/3", "Folding grapnel anchor | Chandler", "# Folding grapnel anchor", "Folds flat. 39 euros."),
        page("/sold", "Sold out | Chandler", "The product may be sold out.", "Did you mean:", "- Copper kettle"),
        page("/faq", "Questions | Chandler", SUGGESTIONS_TEXT, "- Copper kettle", "Or search for something else."),
    ],
)

ECHO = Site(
    lambda url: Text(
        url,
        f"{echo(url)} - Example",
        f"# Not Found\n\nHome > {echo(url).replace('/', ' > ').replace('-', ' ')}\n\n"
        f"The requested URL {echo(url)} was not found on this server.\n\n"
        f"Reference: {number(url):x}4f-{number(url)} at 2026-03-0{number(url) % 9 + 1} 10:{number(url) % 60:02}:07",
    ),
    real=[page("/", "Example", "# Welcome", "This server belongs to the harbour. Please have a look round.")],
    existing=[
        page("/server", "Server - Example", "# The server", "This server was found in the attic."),
        page(
            "/rfc", "Status codes - Example", "# Not Found", "The requested URL was not found on this server, it says."
        ),
    ],
)

TINY = Site(
    lambda url: Text(url, None, "Not found"),
    real=[page("/", "Pilots", "# Pilots", "We bring ships in.")],
    existing=[
        page("/lost", None, "Lost and not found"),
        page("/lost/2", None, "Not found: one umbrella"),
        page("/lost/3", "Umbrella", "Not found"),
        page("/found", None, "Found"),
        page("/not", None, "Not"),
        page("/empty", None, ""),
        page("/pilots", "Pilots", "Call 12"),
    ],
)

NAVIGATION = "\n".join(
    f"- {island} {kind}"
    for kind in ("ferry", "museum", "camping", "market", "weather")
    for island in (
        "Texel",
        "Vlieland",
        "Terschelling",
        "Ameland",
        "Borkum",
        "Juist",
        "Norderney",
        "Baltrum",
        "Langeoog",
    )
)
LARGE_TEXT = "# Whoops\n\nWe looked everywhere, but there is nothing at this address any more."
LARGE = Site(
    lambda url: Text(url, "Whoops | All the islands", f"{NAVIGATION}\n\n{LARGE_TEXT}\n\n{IMPRINT}"),
    real=[page("/", "All the islands", NAVIGATION, "# Fifteen islands, one ticket", ARTICLE, IMPRINT)],
    existing=[
        page("/contact", "Contact | All the islands", NAVIGATION, "Phone 0123 456 789", IMPRINT),
        page("/empty", "All the islands", NAVIGATION, IMPRINT),
        page("/gallery", "Whoops | All the islands", NAVIGATION, IMPRINT),
        page("/quote", "All the islands", NAVIGATION, "It says:", LARGE_TEXT, IMPRINT),
    ],
)

# Two short lines, in a script without spaces.
JAPANESE = Site(
    lambda url: Text(
        url, "ページが見つかりません | 港町", "お探しのページは見つかりませんでした。\n\nトップページへ戻る"
    ),
    real=[page("/", "港町", "港町へようこそ。島へのフェリーは毎朝九時に出発します。\n\nトップページへ戻る")],
    existing=[page("/contact", "連絡先 | 港町", "電話：0123-456-789\n\nトップページへ戻る")],
)

SITES = {
    "wordpress": WORDPRESS,
    "shopify": SHOPIFY,
    "single-page": SPA,
    "german": GERMAN,
    "suggestions": SUGGESTIONS,
    "echo": ECHO,
    "tiny": TINY,
    "navigation": LARGE,
    "japanese": JAPANESE,
}
