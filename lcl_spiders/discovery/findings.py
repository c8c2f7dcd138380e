"""What a probe found out about a candidate: facts, before anything is made of them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PageFacts:
    """One page that answered 200 with HTML. `visible` and `text` (its main content) are in characters.

    `types` are names of schema.org's Event and Article families that the page has data of; `language` is what it
    states, or else what its text is found to be in.
    """

    url: str
    visible: int
    text: int
    has_scripts: bool
    types: frozenset[str] = frozenset()
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A sitemap or a feed that answered: its URL, and how many pages of the candidate's domain it lists."""

    url: str
    count: int
    total: int


@dataclass(slots=True)
class Findings:
    """What is known of a candidate so far.

    `url` is what was asked for, `start_url` where that led. `failure` says why there is nothing to judge: `is_robots`
    when robots.txt keeps a prober away, `is_silent` when the host said nothing at all, `is_absent` when there is no
    such host. `sitemap` and `feed` are None while nobody has looked, and False where there is none. `sampled` counts
    the pages that were asked for beside the start page, `forbidden` those of them that robots.txt forbids. `cards` is
    the number of repeated cards on the start page, 0 when it is no listing; `links` the number of pages of the site
    that it links to.
    """

    url: str
    start_url: str
    failure: str | None = None
    is_silent: bool = False
    is_absent: bool = False
    is_robots: bool = False
    status: int | None = None
    is_feed: bool = False
    start: PageFacts | None = None
    samples: list[PageFacts] = field(default_factory=list)
    sampled: int = 0
    forbidden: int = 0
    sitemap: Listed | bool | None = None
    feed: Listed | bool | None = None
    cards: int = 0
    links: int = 0
    is_cut_short: bool = False

    @property
    def pages(self) -> list[PageFacts]:
        """The pages that were read, the start page first."""
        return [*([self.start] if self.start is not None else []), *self.samples]
