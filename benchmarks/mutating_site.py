"""A site that edits, moves, removes, breaks, lies and comes back, and keeps the truth about itself.

Nothing here knows a crawler. The clock is the site's own: it starts weeks in the past and a refresh is a day, so that
every date is well before the moment it is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from html import escape
from typing import TYPE_CHECKING, Any

from benchmarks.edits import html_of, tree_of
from benchmarks.score import Hidden, Truth, Version, version_of
from lcl_spiders.local_site import AUTO, LocalSite, Page
from lcl_spiders.local_site.site import NOT_FOUND

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random


DAY = timedelta(days=1)
BEGINNING = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0) - 60 * DAY
TOO_LONG = 60.0  # seconds before a page answers that times out
GONE_SHARE = 0.7

OUTAGE, ROBOTS_503, MASS_GONE, WALL = "outage", "robots_503", "mass_gone", "wall"
FAILURES = {
    OUTAGE: frozenset({"site_unreachable", "robots_unavailable"}),
    ROBOTS_503: frozenset({"robots_unavailable"}),
    MASS_GONE: frozenset({"mass_delete_refused"}),
    WALL: frozenset({"site_unreachable"}),
}
"""What happens to the whole site for one refresh, and the reasons of which the run then fails with one."""

UNREADABLE = frozenset({OUTAGE, ROBOTS_503, WALL})
"""Days on which the site shows no page as it is."""


MAINTENANCE = (
    '<!doctype html><html lang="en"><head><title>Maintenance</title></head><body><article><h1>Maintenance</h1><p>'
    "We are improving this site for our readers, which takes a day. Please come back tomorrow; we are sorry for it."
    "</p></article></body></html>"
)
"""What a site says with status 200 under each of its paths on a day on which it says nothing else."""


class Moment(Enum):
    """Which of a page's dates a header or a sitemap shows."""

    HONEST = "when it changed"
    FROZEN = "when it was made, whatever happened since"
    RENEWED = "this refresh's"
    NONE = "none"


@dataclass(frozen=True)
class Manners:
    """What a page says of its changes."""

    etag: str | None = AUTO
    last_modified: Moment = Moment.HONEST
    lastmod: Moment = Moment.HONEST


HONEST = Manners()
MIXED = (
    Manners(etag=None),
    Manners(last_modified=Moment.NONE),
    Manners(etag=None, last_modified=Moment.NONE, lastmod=Moment.NONE),
    Manners(etag=None, last_modified=Moment.RENEWED, lastmod=Moment.RENEWED),
)
# No other signal of such a page gives the lie away.
LIARS = {
    "last_modified": Manners(etag=None, last_modified=Moment.FROZEN, lastmod=Moment.NONE),
    "sitemap_lastmod": Manners(lastmod=Moment.FROZEN),
    "etag": Manners(etag='"v1"', last_modified=Moment.NONE, lastmod=Moment.NONE),
}


class State(Enum):
    """What a page's answer means for the index: it says what the page says, as before, or that there is none."""

    SERVED = "served"
    ILL = "ill"
    GONE = "gone"


@dataclass
class Resource:
    """What stands under one path; `instead` replaces fields of its answer, None leaves it to the site's not-found."""

    html: str
    made: datetime
    changed: datetime
    manners: Manners = HONEST
    state: State = State.SERVED
    instead: Mapping[str, Any] | None = field(default_factory=dict)
    heals: int = 0
    is_listed: bool = True

    def moment(self, which: Moment, now: datetime) -> datetime | None:
        """Return the date that is shown."""
        return {Moment.HONEST: self.changed, Moment.FROZEN: self.made, Moment.RENEWED: now}.get(which)


class MutatingSite:
    """A local site made of resources, and the truth: which version of which path an index must hold."""

    def __init__(self, pages: Mapping[str, str], start: str, rng: Random) -> None:
        self.local = LocalSite()
        self.start = start
        self.refresh = 0
        self.event: str | None = None
        self.resources: dict[str, Resource] = {}
        self.vanished: frozenset[str] = frozenset()
        self.aliases: dict[str, str] = {}
        self.hidden: dict[str, Hidden] = {}
        self._unread: frozenset[int] = frozenset()
        self._expected: dict[str, Version] = {}
        self._versions: dict[bytes, Version] = {}
        for path, html in pages.items():
            self.add(path, html, made=BEGINNING - rng.randrange(1, 400) * DAY)

    @property
    def now(self) -> datetime:
        """The site's own time."""
        return BEGINNING + self.refresh * DAY

    def add(self, path: str, html: str, made: datetime | None = None, *, is_listed: bool = True) -> None:
        """Put a page under a path."""
        made = made or self.now
        self.resources[path] = Resource(html_of(tree_of(html)), made, made, is_listed=is_listed)

    def change(self, path: str, html: str) -> None:
        """Give a page another text or markup."""
        self.resources[path].html, self.resources[path].changed = html, self.now

    def lose(self, path: str, instead: Mapping[str, Any] | None) -> None:
        """Take a page away."""
        self.resources[path].state, self.resources[path].instead = State.GONE, instead

    def publish(self, event: str | None = None) -> Truth:
        """Answer as the resources are now, in the state `event` puts the site into, and return what must be indexed."""
        self.event = event
        if event in UNREADABLE:
            self._unread |= {self.refresh}
        if event == OUTAGE:
            self.local.stop()
        else:
            self._serve()
        if event in {None, MASS_GONE}:
            for path, resource in self.resources.items():
                self._settle(path, resource)
        pages, aliases, hidden = dict(self._expected), dict(self.aliases), dict(self.hidden)
        failures = FAILURES[event] if event else frozenset[str]()
        return Truth(self.refresh, pages, aliases, hidden, dict(self._versions), failures, self._unread)

    def restore(self) -> None:
        """Come back from an outage."""
        if self.event == OUTAGE:
            self.local.start()

    def _settle(self, path: str, resource: Resource) -> None:
        if resource.state is State.GONE:
            self._expected.pop(path, None)
        elif resource.state is State.SERVED and path not in self.vanished:
            version = version_of(resource.html)
            # One text has one set of chunks: the first page with this content hash is what an index keeps.
            self._expected[path] = self._versions.setdefault(version.content_hash, version)

    def _serve(self) -> None:
        for path, resource in self.resources.items():
            if path in self.vanished:
                self.local[path] = NOT_FOUND
            elif self.event == WALL and resource.state is not State.GONE:
                self.local[path] = Page(MAINTENANCE)
            elif resource.instead is not None:
                self.local[path] = replace(self._page(resource), **resource.instead)
            elif path in self.local:
                del self.local[path]
        robots = f"User-agent: *\nAllow: /\nSitemap: {self.local.url('/sitemap.xml')}\n"
        is_ill = self.event == ROBOTS_503
        self.local["/robots.txt"] = Page(robots, status=503 if is_ill else 200, content_type="text/plain")
        self.local["/sitemap.xml"] = self._sitemap()

    def _page(self, resource: Resource) -> Page:
        manners = resource.manners
        modified = resource.moment(manners.last_modified, self.now)
        return Page(resource.html, etag=manners.etag, last_modified=modified)

    def _sitemap(self) -> str:
        entries = []
        for path, resource in self.resources.items():
            if resource.is_listed and resource.state is not State.GONE and path not in self.vanished:
                date = resource.moment(resource.manners.lastmod, self.now)
                lastmod = f"<lastmod>{date.isoformat()}</lastmod>" if date else ""
                entries.append(f"<url><loc>{escape(self.local.url(path))}</loc>{lastmod}</url>")
        listed = "".join(entries)
        return f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{listed}</urlset>'


def soft_404(path: str) -> Page:
    """Return what a site says that answers 200 for what it does not have."""
    return Page(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Nothing to see here</title></head><body>'
        f"<article><h1>Nothing to see here</h1><p>We looked everywhere for {escape(path)}, and it is not on this site. "
        "It may have been moved, or renamed, or it never was. Our editors are told of every page that readers miss."
        "</p><p>Go back to where you came from, or write to the webmaster if you think that this is our mistake.</p>"
        '</article><footer><p><a href="/robots.txt">For robots</a></p></footer></body></html>'
    )
