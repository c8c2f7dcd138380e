"""What sites say above and in the parts of their pages that are no main text, in the languages we crawl most.

Names are missing where a build makes them up; words that visitors read are not.
"""

import re


def _phrases(*lines: str) -> str:
    return "|".join(re.escape(phrase.strip()) for line in lines for phrase in line.split(";"))


_RELATED = _phrases(
    "related; related articles; related posts; related news; related content; related topics; related products",
    "you may also like; you might also like; read more; read also; read next; see also our; more news; more articles",
    "more stories; more from; more on this; most read; most popular; most viewed; popular posts; recent posts",
    "recommended; recommended for you; similar; similar articles; customers also bought; keep reading; up next",
    "lees ook; lees meer; lees verder; meer nieuws; meer artikelen; gerelateerd; gerelateerde artikelen; meest gelezen",
    "gerelateerde berichten; bekijk ook; ook interessant; dit vind je misschien ook leuk; meer over; laatste nieuws",
    "das könnte sie auch interessieren; mehr zum thema; ähnliche artikel; weitere artikel; lesen sie auch",
    "verwandte artikel; meistgelesen; weiterlesen; mehr nachrichten; weitere nachrichten",
    "articles similaires; à lire aussi; lire aussi; voir aussi nos; sur le même sujet; les plus lus; plus d'articles",
    "artículos relacionados; te puede interesar; también te puede interesar; más leídas; más noticias; lee también",
    "articoli correlati; leggi anche; potrebbe interessarti; più letti; altre notizie",
    "artigos relacionados; leia também; mais lidas; veja também; mais notícias; läs också; läs mer; læs også; les også",
)
_COMMENTS = _phrases(
    "comment; comments; reactions; reaction; responses; replies; leave a reply; leave a comment; join the discussion",
    "discussion; reviews; customer reviews; reactie; reacties; geef een reactie; plaats een reactie; beoordelingen",
    "kommentar; kommentare; kommentar schreiben; schreibe einen kommentar; bewertungen; commentaire; commentaires",
    "laisser un commentaire; avis; comentario; comentarios; deja un comentario; commento; commenti; lascia un commento",
    "comentário; comentários; deixe um comentário; kommentarer; guestbook; gastenboek; gästebuch",
)
_SHARE = _phrases(
    "share; share this; share this page; share this article; share on; share via; follow us; follow us on",
    "deel; delen; deel dit; deel deze pagina; deel dit artikel; deel op; deel via; volg ons; teilen; seite teilen",
    "artikel teilen; folgen sie uns; partager; partager cet article; suivez-nous; compartir; compartir en; síguenos",
    "condividi; seguici; compartilhar; compartilhe",
)
_COUNTED = r"^\W*(?:\d+\s+)?(?:{})(?:\s*\(?\d+\)?)?\W*$"
_HEADINGS = {
    "related": re.compile(_COUNTED.format(_RELATED), re.IGNORECASE),
    "comments": re.compile(_COUNTED.format(_COMMENTS), re.IGNORECASE),
    "share": re.compile(_COUNTED.format(_SHARE), re.IGNORECASE),
}
_LONGEST = 60

COPYRIGHT = re.compile(
    r"©|\(c\)\s*(?:19|20)\d\d|\bcopyright\s+(?:19|20)\d\d|\ball rights reserved\b|\balle rechten voorbehouden\b"
    r"|\balle rechte vorbehalten\b"
    r"|\btous droits réservés\b|\btodos los derechos reservados\b|\btutti i diritti riservati\b",
    re.IGNORECASE,
)
COOKIES = re.compile(r"\bcookies?\b|\bkoekjes\b|クッキー", re.IGNORECASE)
NEEDS_SCRIPTS = re.compile(r"javascript|java script|js\s+(?:is\s+)?(?:disabled|required)", re.IGNORECASE)


def heading_of(text: str) -> str | None:
    """Return what a heading says that it stands above: "related", "comments" or "share"; None for anything else."""
    if len(text) > _LONGEST:
        return None
    return next((name for name, pattern in _HEADINGS.items() if pattern.match(text)), None)
