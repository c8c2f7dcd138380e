"""The site that `scrapy demo` crawls: the visitors' pages of Brinholt, a harbour town that does not exist."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GUIDE = "/guide"
EDITED, ADDED, REMOVED = "/museum", "/repair-cafe", "/ferry"

# A page begins with "#", its path and its title; then comes what the guide says of it, then sections.
_TOWN = """
# / Welcome to Brinholt
A harbour town of nine thousand people between a salt marsh and the sea.

## The town
Brinholt grew up around a natural basin that never freezes. Fishing boats still leave before dawn, but most people
who live here now build instruments, teach, or look after visitors. You can cross the old town on foot in a quarter
of an hour, and you will need twice as long, because somebody will stop you to ask where you are from.

## Finding your way
Trains from the capital stop at the upper station every two hours; from there a cable tram goes down to the quay.
Leave your car at the marsh gate, where parking is free, since the streets below the church are closed to traffic
from spring to autumn.

# /museum Museum of Tides
How a town learned to live with eleven metres between low and high water.

## What you will see
The museum fills a former rope works, three hundred paces long and only eight wide, and you walk it from one end to
the other as a tide comes in. It begins with mud: the tools, shoes and letters that storms have given back since
records were kept. A brass tide predictor with forty wheels stands in the middle of the hall; it took two years to
build in 1887, and it is still right to within a hand's breadth. Beside it, children can set the sun and the moon by
turning a crank and see what the sea would do.

## Opening hours
The museum is open from Tuesday to Sunday, from ten in the morning until five in the afternoon. On Fridays it closes
at five as well. The last visitors are let in forty minutes before the doors close, and the crank is oiled on the
first Wednesday of each month, when the great hall stays shut until noon.

## Tickets and tours
A ticket costs nine crowns and is good for the whole week, so that you can come back at another tide. Children under
twelve, and everybody who arrives soaked, come in free. A curator leads a tour each Saturday at eleven; it ends on
the sea wall, where you need boots, which the museum lends.

## The collection of storms
In the gallery upstairs each of the nineteen great storms has a drawer. Pull it open and you hear the voices of
those who were there, in recordings made by two schoolteachers who went from house to house with a wire recorder
after the flood of 1951. The drawer for the next storm is empty, with a label already written, and visitors tend to
close it again quickly.

# /library Public library
Forty thousand volumes, a reading room over the water, and a seed drawer.

## Borrowing
Anybody who can show a letter addressed to them in the county may join, and membership costs nothing. You may take
twelve books for four weeks. There are no fines: if a book is late, the librarian writes you a postcard by hand,
which has turned out to work better than money ever did.

## The reading room
The reading room stands on posts over the inner basin. At spring tides the floor trembles a little. It has lamps
with green shades, a stove that regulars take turns to feed, and a strict rule of silence that is lifted for the
single hour after the fishing fleet comes home.

## Seeds
In the old card catalogue you find seeds instead of cards. Take three packets in spring and bring back seeds of your
own in autumn, with a note on what the slugs left of them.

# /market Wednesday market
Sixty stalls under the arcades, with cheese, wool and complaints about the weather.

## Stalls
Farmers from the marsh bring samphire, salt-meadow lamb and a hard blue-veined cheese called Brinholt grey. The wool
dyers sit at the northern end, because their kettles smell. Bring a bag: the market gave up plastic before anybody
asked it to.

## When to come
Trade begins with a bell at seven and ends when the second bell rings at one. The bakers are sold out by nine.
Fishmongers lower their prices during the last half hour, and everybody pretends not to wait for it.

# /lighthouse Lighthouse on Gannet Point
Two hundred and four steps, one keeper, and a lens taller than a horse.

## The climb
The stairs are narrow and one-way by agreement: going up on the full hour, coming down on the half. At the top you
stand inside the lens, whose eight hundred prisms gather the light of a lamp no bigger than a thumb. On clear days
you can see the wind farm, the mainland, and weather that will arrive tomorrow.

## The keeper
Ottoline Marsh has kept the light for thirty-one years, although it has worked by itself for twenty. She counts
migrating birds at night, and her notebooks are the longest unbroken series on this coast.

# /harbour Harbour and sea wall
Where to moor, where to walk, and where not to stand when the wind is in the west.

## Moorings
Visiting boats moor at the white rings along the east mole. Report to the harbour master's hut within an hour; the
fee includes water, the showers and a printed forecast. Boats that draw more than two metres can pass the sill only
three hours either side of high water.

## Walking the wall
The sea wall is a mile long and was raised by a metre after the last great flood. When a red lantern hangs at the
steps, waves come over the top: stay behind the chains, however good the photograph would be.

# /ferry Ferry to Seal Sands
A summer boat to the sandbank, if the seals agree.

## Timetable
The ferry Patience leaves the quay at nine and at two from June until the middle of September, and stays on the
sandbank for ninety minutes. It does not sail in fog. Dogs have to wait on the quay, where a retired teacher minds
them for a coin.

# /music-school School of instrument makers
Apprentices learn to build violins, accordions and one enormous harp.

## Learning
Twelve apprentices are taken each autumn, and they stay for three years. The first year is spent on nothing but
wood: how to choose it, dry it and hear what is wrong with it. By the third they have made one instrument alone, and
must play it in public, well or not.

## Concerts
On the last Sunday of the month the workshop benches are pushed to the walls, and whatever has been finished is
played. Admission is free. The harp, which hangs from the roof beams, sounds only when the doors are opened against
an east wind.

# /tidal-pool Tidal pool
Swim in sea water that changes twice a day, and is never warm.

## Swimming
The pool was cut into the rock by quarrymen for their own use. Each high tide fills it afresh. It is forty metres
long, with a shallow end for children, and the temperature is chalked on a slate beside the ladder together with the
opinion of the first swimmer.

## Safety
A lifeguard is on duty from eight to eight in summer. Leave the water when the gong is struck, since the sea comes
over the outer edge within ten minutes of it.

# /allotments Allotments behind the church
Eighty-two gardens, three wells and a waiting list that moves in its own time.

## Getting a plot
Write to the garden warden, who keeps the list in a ledger. It takes about four years. Whoever waits may share a
plot with an older gardener who finds digging hard, and most do; a good number of plots have been inherited that
way.

## Water and bees
Water comes from the wells, by hand. Hives stand along the south wall, and their honey tastes of lime trees in dry
years and of heather in wet ones.

# /observatory Observatory on Cinder Hill
Public nights with a telescope that a doctor left to the town.

## Public nights
From October to March the dome is open every clear Thursday. Volunteers show Saturn, the moon and whatever has
turned up. Dress for standing still in the cold. When it is cloudy somebody gives a talk in the hut, with tea, and
these evenings are often the better ones.

## Dark skies
The town switches its street lamps to red at ten. It began as a favour to the astronomers and was kept because the
terns that nest on the roofs slept better.

# /bakery Bakery at the lock
Sourdough since 1902, from an oven that has been out only twice.

## Bread
Four sorts of bread are baked, and no more: rye, wheat, barley with seaweed, and a sweet loaf with currants for
Sundays. The starter lives in a stoneware crock and has a godmother, elected every ten years, who takes it home when
the bakery is flooded.

## Breakfast
Early visitors sit at the long table by the oven. There is no menu. You get what is warm, a pot of coffee, and
yesterday's newspaper, because today's arrives with the tram at ten.
"""

_NEW_PAGE = """
# /repair-cafe Repair café
Bring what is broken, stay for cake, and take home what works.

## How it works
On the second Saturday of the month volunteers with soldering irons, sewing machines and a great deal of patience
sit in the library's basement. Bring a toaster, a torn coat or a silent radio. You sit beside the person who mends
it and hold the torch, so that next time you can do it yourself.

## What it costs
Spare parts are paid for, the work is free. About two things in three go home repaired, and a list on the wall
remembers the rest with a short obituary.
"""

_NEW_HOURS = """
The museum is open from Tuesday to Sunday, from ten in the morning until five in the afternoon. On Fridays it stays
open until half past nine in the evening, with candles in the great hall and a fiddler at the far end. The last
visitors are let in forty minutes before the doors close.
"""

_NAVIGATION = {"/": "Home", GUIDE: "Guide", "/museum": "Museum", "/library": "Library", "/market": "Market"}


@dataclass(frozen=True)
class Article:
    """A page: `summary` stands in the guide as well, `sections` maps headings to a paragraph each."""

    title: str
    summary: str
    sections: Mapping[str, str]


def before() -> dict[str, Article]:
    """Return the articles by path, as the first crawl finds them. The guide is not among them."""
    return _parse(_TOWN)


def after() -> dict[str, Article]:
    """Return the articles with one paragraph of `EDITED` rewritten, `ADDED` added and `REMOVED` removed."""
    articles = _parse(_TOWN) | _parse(_NEW_PAGE)
    del articles[REMOVED]
    museum = articles[EDITED]
    articles[EDITED] = replace(museum, sections={**museum.sections, "Opening hours": _one_line(_NEW_HOURS)})
    return articles


def as_files(articles: Mapping[str, Article], url_of: Callable[[str], str]) -> dict[str, str]:
    """Return the whole site by path: a page for each article, the guide that lists them, a sitemap and robots.txt."""
    pages = {path: _page(article.title, _body(article)) for path, article in articles.items()}
    pages[GUIDE] = _page("Guide to Brinholt", _listing(articles))
    locations = "".join(f"<url><loc>{escape(url_of(path))}</loc></url>" for path in pages)
    sitemap = f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{locations}</urlset>'
    robots = f"User-agent: *\nAllow: /\nSitemap: {url_of('/sitemap.xml')}\n"
    return {**pages, "/sitemap.xml": sitemap, "/robots.txt": robots}


def _parse(text: str) -> dict[str, Article]:
    articles = {}
    for page in f"\n{text.strip()}".split("\n# ")[1:]:
        head, *sections = page.split("\n## ")
        name, _, summary = head.partition("\n")
        path, _, title = name.partition(" ")
        parts = [section.partition("\n") for section in sections]
        articles[path] = Article(title, _one_line(summary), {heading: _one_line(body) for heading, _, body in parts})
    return articles


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _body(article: Article) -> str:
    sections = "".join(f"<h2>{escape(title)}</h2><p>{escape(text)}</p>" for title, text in article.sections.items())
    return f"<p>{escape(article.summary)}</p>{sections}"


def _listing(articles: Mapping[str, Article]) -> str:
    entries = "".join(
        f'<li><a href="{path}">{escape(article.title)}</a>: {escape(article.summary)}</li>'
        for path, article in articles.items()
    )
    return f"<p>Everything that Brinholt has to show, page by page.</p><ul>{entries}</ul>"


def _page(title: str, body: str) -> str:
    links = "".join(f'<li><a href="{path}">{name}</a></li>' for path, name in _NAVIGATION.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head><body>'
        f"<header><nav><ul>{links}</ul></nav></header>"
        f"<main><article><h1>{escape(title)}</h1>{body}</article></main>"
        "<footer><p>Town of Brinholt, Harbour Office</p></footer></body></html>"
    )
