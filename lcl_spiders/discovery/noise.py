"""Domains that many sites link to and that are nobody's source: networks, shops, maps, shorteners, trackers."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection

_PRIVATE = (".localhost", ".local", ".internal", ".home.arpa", ".test", ".invalid", ".lan")

NOISE_DOMAINS = frozenset(
    {
        # social networks, messengers, media hosts
        *("facebook.com", "fb.com", "fb.me", "instagram.com", "threads.net", "threads.com", "twitter.com", "x.com"),
        *("linkedin.com", "lnkd.in", "pinterest.com", "pinterest.nl", "reddit.com", "tiktok.com", "snapchat.com"),
        *("tumblr.com", "vk.com", "xing.com", "bsky.app", "mastodon.social", "discord.com", "discord.gg", "quora.com"),
        *("whatsapp.com", "wa.me", "telegram.org", "telegram.me", "t.me", "messenger.com", "m.me", "signal.me"),
        *("youtube.com", "youtu.be", "youtube-nocookie.com", "vimeo.com", "dailymotion.com", "twitch.tv", "flickr.com"),
        *("spotify.com", "soundcloud.com", "bandcamp.com", "deezer.com", "issuu.com", "linktr.ee", "medium.com"),
        # shops, app stores, payment, tickets and bookings
        *("amazon.com", "amazon.de", "amazon.fr", "amazon.nl", "amazon.co.uk", "amzn.to", "ebay.com", "ebay.de"),
        *("etsy.com", "bol.com", "aliexpress.com", "apps.apple.com", "itunes.apple.com", "play.google.com"),
        *("paypal.com", "paypal.me", "stripe.com", "mollie.com", "tikkie.me", "patreon.com", "gofundme.com"),
        *("ticketmaster.com", "ticketmaster.nl", "eventbrite.com", "eventbrite.nl", "ticketswap.com"),
        *("booking.com", "airbnb.com", "tripadvisor.com", "tripadvisor.nl", "expedia.com", "trustpilot.com"),
        # search, maps, office suites, clouds
        *(
            "google.com",
            "google.nl",
            "google.de",
            "google.fr",
            "google.co.uk",
            "google.be",
            "goo.gl",
            "maps.app.goo.gl",
        ),
        *("g.page", "g.co", "bing.com", "duckduckgo.com", "yahoo.com", "openstreetmap.org", "maps.apple.com"),
        *("apple.com", "microsoft.com", "office.com", "live.com", "dropbox.com", "wetransfer.com", "icloud.com"),
        *("googleusercontent.com", "gstatic.com", "googleapis.com", "amazonaws.com", "cloudfront.net", "jsdelivr.net"),
        *("gravatar.com", "unpkg.com", "wp.com", "calendly.com", "typeform.com", "surveymonkey.com", "zoom.us"),
        # link shorteners
        *(
            "bit.ly",
            "t.co",
            "tinyurl.com",
            "ow.ly",
            "buff.ly",
            "is.gd",
            "rebrand.ly",
            "shorturl.at",
            "cutt.ly",
            "lc.cx",
        ),
        # trackers, advertising, newsletters, consent
        *("doubleclick.net", "googletagmanager.com", "google-analytics.com", "googlesyndication.com", "hotjar.com"),
        *("addthis.com", "sharethis.com", "addtoany.com", "mailchimp.com", "mailchi.mp", "list-manage.com"),
        *("cookiebot.com", "onetrust.com", "cookiedatabase.org", "aboutcookies.org", "allaboutcookies.org"),
        # what a site is made with, and what it states about itself
        *("wordpress.org", "wordpress.com", "joomla.org", "drupal.org", "wix.com", "squarespace.com", "weebly.com"),
        *("github.com", "gitlab.com", "mozilla.org", "w3.org", "schema.org", "creativecommons.org", "archive.org"),
        *("gmpg.org", "ogp.me", "validator.w3.org", "jigsaw.w3.org", "wikipedia.org", "wikimedia.org"),
    }
)


def is_private(domain: str) -> bool:
    """Return whether a domain (its port aside) names itself as no part of the public internet.

    An address that is not global (IANA's special-purpose registries), a host without a dot, and the reserved names of
    RFC 6761 and RFC 8375. What a public name resolves to is not looked at.
    """
    host = urlsplit(f"//{domain}").hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host.rstrip(".") or host.rstrip(".").endswith(_PRIVATE)


def is_noise(domain: str, noise_domains: Collection[str]) -> bool:
    """Return whether a domain (its port aside) is one of these, or a host below one: whole labels, no pattern."""
    labels = domain.partition(":")[0].rstrip(".").split(".")
    return any(".".join(labels[at:]) in noise_domains for at in range(len(labels)))
