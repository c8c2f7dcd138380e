"""Made-up prose in two languages, by a seed: what the generated pages of `make bench-text` are filled with.

Main text, navigation, related links, comments and footers all draw from the same words, so that no extractor can tell
them apart by what they say; only by how they stand on the page, as on real sites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_SYLLABLES = [first + last for first in "bdfghklmnprstvw" for last in "aeo"]


@dataclass(frozen=True)
class Language:
    """The words of a language, and what sites say in it about themselves (`says`: a phrase for each purpose)."""

    code: str
    nouns: tuple[str, ...]
    adjectives: tuple[str, ...]
    verbs: tuple[str, ...]
    frames: tuple[str, ...]
    months: tuple[str, ...]
    says: dict[str, tuple[str, ...]]


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


def _phrases(phrases: str) -> tuple[str, ...]:
    return tuple(phrases.split(" | "))


ENGLISH = Language(
    "en",
    _listed(
        """harbour market bridge garden window council library river winter museum engine kitchen mountain
        teacher village concert letter forest painter station history island summer factory journey meadow
        orchard student captain lantern theatre gallery workshop festival quarry railway castle chapel
        archive canal cathedral tower square school bakery table index column server buffer query cluster
        record module function parameter value package process signal"""
    ),
    _listed(
        """old quiet narrow early bright heavy wooden common careful distant local modern empty famous gentle
        public steep broken silent warm simple open hidden ordinary seasonal regional"""
    ),
    _listed(
        """follows opens crosses keeps describes reaches joins changes supports measures leaves returns
        explains carries remembers shows builds protects replaces contains"""
    ),
    (
        "The {a} {n} {v} the {n} near the {n}.",
        "When the {n} {v} a {a} {n}, nobody at the {n} was surprised.",
        "In {y} the {n} was {a}, and the {n} of {N} {v} it.",
        "It is said that {N} {v} the {a} {n}, although the {n} itself {v} another {n}.",
        "A {n} that {v} the {n} is {a}; a {n} that does not is merely {a}.",
        "What remains of the {a} {n} can be seen from the {n} every morning, says {N}.",
        "Each {n} {v} its own {n}, but the {a} {n} {v} all of them at once.",
    ),
    _listed("""January February March April May June July August September October November December"""),
    {
        "nav": _phrases(
            "Home | About us | News | Agenda | Shop | Contact | Visit | Opening hours | Support | Products"
        ),
        "related": _phrases("Related articles | You may also like | Read more | More news | Most read"),
        "share": _phrases("Share this page | Share | Share on"),
        "comments": _phrases("Comments | 3 comments | Reactions | Leave a reply"),
        "cookie": _phrases(
            "We use cookies to make this site work better. By going on you agree with our cookie policy. | "
            "This website uses cookies and similar techniques to show you a better experience and relevant offers."
        ),
        "consent": _phrases("Accept all | Only necessary | Settings"),
        "newsletter": _phrases(
            "Subscribe to our newsletter and never miss a thing. | Sign up and get our news every week."
        ),
        "footer": _phrases(
            "All rights reserved | Privacy statement | Terms and conditions | Sitemap | Disclaimer | Jobs"
        ),
        "skip": _phrases("Skip to content"),
        "more": _phrases("Read more | More information | View details"),
        "previous": _phrases("Previous | « Previous"),
        "next": _phrases("Next | Next »"),
        "shell": _phrases(
            "You need to enable JavaScript to run this app. | Loading… | Please wait while we load the page"
        ),
        "search": _phrases("Search"),
        "reply": _phrases("Reply | Quote | Report"),
        "tickets": _phrases("Buy tickets | Add to cart | Book now"),
    },
)

DUTCH = Language(
    "nl",
    _listed(
        """haven markt brug tuin raam raad bibliotheek rivier winter museum motor keuken berg leraar dorp
        concert brief bos schilder station geschiedenis eiland zomer fabriek reis weide boomgaard student
        kapitein lantaarn theater galerie werkplaats festival spoorlijn kasteel kapel archief gracht toren
        plein school bakkerij tabel kolom waarde"""
    ),
    _listed(
        """oude stille smalle vroege lichte zware houten gewone verre lokale moderne lege bekende zachte steile
        warme eenvoudige open verborgen regionale"""
    ),
    _listed(
        """volgt opent kruist bewaart beschrijft bereikt verandert steunt meet verlaat draagt toont bouwt
        beschermt vervangt bevat"""
    ),
    (
        "De {a} {n} {v} de {n} bij de {n}.",
        "Toen de {n} een {a} {n} kreeg, was niemand bij de {n} verbaasd.",
        "In {y} was de {n} {a}, en de {n} van {N} {v} dat.",
        "Men zegt dat {N} de {a} {n} {v}, hoewel de {n} zelf een andere {n} {v}.",
        "Een {n} die de {n} {v} is {a}; een {n} die dat niet doet is slechts {a}.",
        "Wat er van de {a} {n} over is, is elke ochtend vanaf de {n} te zien, zegt {N}.",
    ),
    _listed("""januari februari maart april mei juni juli augustus september oktober november december"""),
    {
        "nav": _phrases("Home | Over ons | Nieuws | Agenda | Winkel | Contact | Bezoek | Openingstijden | Hulp"),
        "related": _phrases("Gerelateerde artikelen | Lees ook | Meer nieuws | Meest gelezen"),
        "share": _phrases("Deel deze pagina | Delen | Deel dit"),
        "comments": _phrases("Reacties | 3 reacties | Geef een reactie"),
        "cookie": _phrases(
            "Wij gebruiken cookies om deze site beter te laten werken. Door verder te gaan gaat u akkoord. | "
            "Deze website gebruikt cookies en vergelijkbare technieken om u een betere ervaring te bieden."
        ),
        "consent": _phrases("Alles accepteren | Alleen noodzakelijk | Instellingen"),
        "newsletter": _phrases(
            "Schrijf u in voor onze nieuwsbrief en mis niets. | Meld u aan en ontvang elke week ons nieuws."
        ),
        "footer": _phrases(
            "Alle rechten voorbehouden | Privacyverklaring | Algemene voorwaarden | Sitemap | Vacatures"
        ),
        "skip": _phrases("Naar de inhoud"),
        "more": _phrases("Lees meer | Meer informatie | Bekijk"),
        "previous": _phrases("Vorige"),
        "next": _phrases("Volgende"),
        "shell": _phrases(
            "Schakel JavaScript in om deze app te gebruiken. | Laden… | Even geduld, de pagina wordt geladen"
        ),
        "search": _phrases("Zoeken"),
        "reply": _phrases("Reageren | Citeren | Melden"),
        "tickets": _phrases("Koop kaarten | In winkelwagen | Reserveer nu"),
    },
)


class Writer:
    """Writes texts in one language with one source of chance."""

    def __init__(self, random: Random, language: Language) -> None:
        self.random = random
        self.language = language

    def name(self) -> str:
        return "".join(self.random.choices(_SYLLABLES, k=self.random.randint(2, 4))).capitalize()

    def sentence(self) -> str:
        text = self.random.choice(self.language.frames)
        while "{" in text:
            text = text.replace("{a}", self.random.choice(self.language.adjectives), 1)
            text = text.replace("{n}", self.random.choice(self.language.nouns), 1)
            text = text.replace("{v}", self.random.choice(self.language.verbs), 1)
            text = text.replace("{N}", self.name(), 1).replace("{y}", str(self.random.randint(1650, 2020)), 1)
        return text

    def paragraph(self, least: int = 2, most: int = 6) -> str:
        return " ".join(self.sentence() for _ in range(self.random.randint(least, most)))

    def title(self) -> str:
        adjective, noun, other = self.random.choice(self.language.adjectives), self.noun(), self.noun()
        return self.random.choice(
            [
                f"{adjective} {noun} {self.name()}",
                f"{self.name()}: {noun} {other}",
                f"{self.name()} {adjective} {other}",
            ]
        ).capitalize()

    def noun(self) -> str:
        return self.random.choice(self.language.nouns)

    def date(self) -> str:
        day, month, year = self.random.randint(1, 28), self.random.randint(1, 12), self.random.randint(2019, 2027)
        word = self.language.months[month - 1]
        return self.random.choice(
            [f"{day} {word} {year}", f"{day:02}-{month:02}-{year}", f"{day} {word}, 20:{month + 10}"]
        )

    def price(self) -> str:
        return f"€ {self.random.randint(2, 400)},{self.random.choice(['00', '50', '95'])}"

    def says(self, purpose: str) -> str:
        return self.random.choice(self.language.says[purpose])

    def some(self, purpose: str, count: int) -> list[str]:
        """Return different phrases for a purpose, filled up with titles where there are too few."""
        known = self.language.says[purpose]
        return [*self.random.sample(known, min(count, len(known))), *(self.title() for _ in range(count - len(known)))]
