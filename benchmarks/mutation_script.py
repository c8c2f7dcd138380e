"""The script by which a mutating site changes: seeded, so that it can be played again."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.edits import (
    add_after,
    add_link,
    edit_word,
    html_of,
    move_paragraph,
    remove_paragraph,
    tree_of,
    with_head,
    with_nonce,
)
from benchmarks.mutating_site import (
    GONE_SHARE,
    LIARS,
    MASS_GONE,
    MIXED,
    OUTAGE,
    ROBOTS_503,
    TOO_LONG,
    WALL,
    Manners,
    MutatingSite,
    State,
    soft_404,
)
from benchmarks.score import Hidden, Truth, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from random import Random

    from lxml.html import HtmlElement


class Change(NamedTuple):
    """One line of the script as it was played."""

    refresh: int
    kind: str
    path: str


class Script:
    """Plays a seeded random script on a site: what happens in which refresh is drawn once, where when it is played.

    `density`: in how many refreshes each rare kind of change is played, as far as there are so many; each common one is
    played half as many times in every refresh, and once at least. `spare`: pages that are not on the site yet.
    """

    def __init__(
        self,
        pages: Mapping[str, str],
        spare: Iterable[str],
        *,
        start: str,
        rng: Random,
        refreshes: int,
        trust_after: int,
        density: int,
    ) -> None:
        self.site = MutatingSite(pages, start, rng)
        self.changes: list[Change] = []
        self.refreshes = refreshes
        self._rng = rng
        self._spare = list(spare)
        self._plan = plan(refreshes, trust_after, density, rng)
        self._fixed = {start}
        self._touched: set[str] = set()
        self._removed: list[str] = []
        self._twins: list[tuple[str, str]] = []
        self._number = 0
        self._awaited = [self._link_to_nowhere() for kinds in self._plan for kind in kinds if kind == "new_behind_link"]
        self._liars = {
            signal: [self._made(manners) for kinds in self._plan for kind in kinds if kind == f"lying_{signal}"]
            for signal, manners in LIARS.items()
        }
        for number, path in enumerate(sorted(self.site.resources.keys() - self._fixed)):
            if number % 10 < len(MIXED):
                self.site.resources[path].manners = MIXED[number % 10]

    def advance(self, refresh: int) -> Truth:
        """Change the site as it must be for a refresh (0: the first crawl; in order), and return the truth about it."""
        site = self.site
        site.restore()
        site.refresh, site.vanished = refresh, frozenset()
        self._touched.clear()
        event = events(self.refreshes).get(refresh)
        if event is None:
            for resource in site.resources.values():
                if resource.state is State.ILL and resource.heals <= refresh:
                    resource.state, resource.instead = State.SERVED, {}
        for kind in self._plan[refresh]:
            getattr(self, f"_{kind}")()
        if event is not None:
            self._note(event, site.start)
        if event == MASS_GONE:
            candidates = self._free(served=True)
            site.vanished = frozenset(self._rng.sample(candidates, min(len(candidates), self._number_to_vanish())))
        return site.publish(event)

    def _number_to_vanish(self) -> int:
        return round(GONE_SHARE * sum(each.state is not State.GONE for each in self.site.resources.values()))

    def _word(self) -> None:
        self._edit("word", lambda tree: edit_word(tree, self._rng, f"amended{self._next()}"))

    def _paragraph_added(self) -> None:
        self._edit("paragraph_added", lambda tree: add_after(tree, self._rng, f"<p>{escape(self._remark())}</p>"))

    def _paragraph_moved(self) -> None:
        self._edit("paragraph_moved", lambda tree: move_paragraph(tree, self._rng))

    def _paragraph_removed(self) -> None:
        self._edit("paragraph_removed", lambda tree: remove_paragraph(tree, self._rng))

    def _markup_only(self) -> None:
        path = self._pick()
        html = with_nonce(self.site.resources[path].html, f"nonce{self._next()}")
        assert version_of(html) == version_of(self.site.resources[path].html), f"{path}: a nonce changed the text"
        self.site.change(path, html)
        self._note("markup_only", path)

    def _new_linked(self) -> None:
        path = self._new(is_listed=False)
        self._edit("new_linked", lambda tree: add_link(tree, self._rng, path))

    def _new_behind_link(self) -> None:
        self._note("new_behind_link", self._new(self._awaited.pop(), is_listed=False))

    def _new_in_sitemap(self) -> None:
        self._note("new_in_sitemap", self._new())

    def _removed_page(self) -> None:
        path = self._pick()
        self.site.lose(path, None)
        self._removed.append(path)
        self._note("removed_page", path)

    def _soft_404s(self) -> None:
        self.site.local.not_found = soft_404
        self._note("soft_404s", self.site.start)

    def _returned(self) -> None:
        path = self._removed.pop(self._rng.randrange(len(self._removed)))
        self.site.resources[path].state, self.site.resources[path].instead = State.SERVED, {}
        self._note("returned", path)

    def _answers_410(self) -> None:
        path = self._pick()
        self.site.lose(path, {"status": 410, "body": "Gone"})
        self._note("answers_410", path)

    def _noindex(self) -> None:
        path = self._pick()
        meta = '<meta name="robots" content="noindex">'
        self.site.change(path, with_head(self.site.resources[path].html, meta))
        self.site.lose(path, {})
        self._note("noindex", path)

    def _moved_301(self) -> None:
        path = self._pick()
        target = self._new(html=self.site.resources[path].html)
        self.site.lose(path, {"status": 301, "body": "", "headers": {"Location": target}})
        self._note("moved_301", path)

    def _redirected_302(self) -> None:
        self._ail("redirected_302", {"status": 302, "body": "", "headers": {"Location": self.site.start}})

    def _answers_500(self) -> None:
        self._ail("answers_500", {"status": 500, "body": "Internal Server Error"})

    def _answers_503(self) -> None:
        self._ail("answers_503", {"status": 503, "body": "Later", "headers": {"Retry-After": "120"}})

    def _times_out(self) -> None:
        self._ail("times_out", {"delay": TOO_LONG})

    def _cut_short(self) -> None:
        path = self._ail("cut_short", {})
        self.site.resources[path].instead = {"truncate_at": len(self.site.resources[path].html) * 2 // 3}

    def _ail(self, kind: str, instead: Mapping[str, Any]) -> str:
        """Make a page ill that has just been edited, so that an answer taken for the page shows; return its path."""
        path = self._edit(kind, lambda tree: edit_word(tree, self._rng, f"unseen{self._next()}"))
        resource = self.site.resources[path]
        resource.state, resource.instead = State.ILL, instead
        resource.heals = self.site.refresh + self._rng.randrange(1, 3)
        return path

    def _unlisted(self) -> None:
        path = self._pick()
        self.site.resources[path].is_listed = False
        self._note("unlisted", path)

    def _tracking_link(self) -> None:
        target = self._pick()
        alias = f"{target}?utm_source=mail{self._next()}"
        self.site.aliases[alias] = target
        self._edit("tracking_link", lambda tree: add_link(tree, self._rng, alias))

    def _twin(self) -> None:
        first = self._pick()
        canonical = f'<link rel="canonical" href="{escape(first)}">'
        twin = self._new(html=with_head(self.site.resources[first].html, canonical), is_listed=False)
        self._fixed |= {first, twin}
        self._twins.append((first, twin))
        self._edit("twin", lambda tree: add_link(tree, self._rng, twin))

    def _orphaned_twin(self) -> None:
        first, _ = self._twins.pop(0)
        self.site.lose(first, {"status": 404, "body": "Not found"})
        self._note("orphaned_twin", first)

    def _lying_etag(self) -> None:
        self._lie("etag")

    def _lying_last_modified(self) -> None:
        self._lie("last_modified")

    def _lying_sitemap_lastmod(self) -> None:
        self._lie("sitemap_lastmod")

    def _lie(self, signal: str) -> None:
        path = self._liars[signal].pop()
        self._edit(f"lying_{signal}", lambda tree: edit_word(tree, self._rng, f"hidden{self._next()}"), path)
        self.site.hidden[path] = Hidden(signal, self.site.refresh)

    def _edit(self, kind: str, edit: Callable[[HtmlElement], bool], path: str | None = None) -> str:
        """Edit a page, one that may be changed if none is given, so that its text is another one; return its path."""
        chosen, html = (path, self._edited(path, edit)) if path else self._pick_edited(edit)
        assert html is not None, f"{chosen} has no text to edit"
        self.site.change(chosen, html)
        self._note(kind, chosen)
        return chosen

    def _pick_edited(self, edit: Callable[[HtmlElement], bool]) -> tuple[str, str]:
        """Return a page that may be changed, and how it reads after an edit that changes its text."""
        while True:
            path = self._pick()
            if html := self._edited(path, edit):
                return path, html

    def _edited(self, path: str, edit: Callable[[HtmlElement], bool]) -> str | None:
        """Return a page after an edit that changes its text; None when none is found, as on a page of tables alone."""
        before = version_of(self.site.resources[path].html).content_hash
        for _ in range(30):
            tree = tree_of(self.site.resources[path].html)
            if edit(tree) and version_of(html := html_of(tree)).content_hash != before:
                return html
        return None

    def _pick(self) -> str:
        """Return a page that may be changed, and keep the rest of this refresh's changes from it."""
        path = self._rng.choice(self._free())
        self._touched.add(path)
        return path

    def _free(self, *, served: bool = False) -> list[str]:
        """Return the pages that may be changed, or of all that are served those that may be gone for a day."""
        fixed = {self.site.start, *self._all_liars()} if served else self._fixed | self._touched
        return sorted(
            path for path, each in self.site.resources.items() if each.state is State.SERVED and path not in fixed
        )

    def _all_liars(self) -> set[str]:
        return {path for path, each in self.site.resources.items() if each.manners in LIARS.values()}

    def _new(self, path: str | None = None, html: str | None = None, *, is_listed: bool = True) -> str:
        path = path or f"/new-{self._next()}.html"
        self.site.add(path, html or self._spare.pop(), is_listed=is_listed)
        self._touched.add(path)
        return path

    def _link_to_nowhere(self) -> str:
        """Put a link to a page that comes later on a page that stays as it is; return the later page's path."""
        path = f"/later-{self._next()}.html"
        host, html = self._pick_edited(lambda tree: add_link(tree, self._rng, path))
        self.site.resources[host].html = html
        self._fixed.add(host)
        return path

    def _made(self, manners: Manners) -> str:
        """Give manners to a page that has text to edit, and keep it from everything else."""
        path, _ = self._pick_edited(lambda tree: edit_word(tree, self._rng, "another"))
        self.site.resources[path].manners = manners
        self._fixed.add(path)
        return path

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _remark(self) -> str:
        number = self._next()
        return (
            f"Remark {number}, made on day {self.site.refresh}: whoever reads this page should know that it was found "
            f"wanting in {number} places, of which this paragraph mends one and leaves the others to a later day."
        )

    def _note(self, kind: str, path: str) -> None:
        self.changes.append(Change(self.site.refresh, kind, path))


COMMON = ("word", "paragraph_added", "paragraph_moved", "paragraph_removed", "markup_only")
RARE = ("new_linked", "new_behind_link", "new_in_sitemap", "answers_410", "moved_301", "noindex", "unlisted")
PASSING = ("answers_500", "answers_503", "times_out", "cut_short", "redirected_302", "tracking_link")


def events(refreshes: int) -> dict[int, str]:
    """Return what happens to the whole site, by refresh; such a refresh has no other changes."""
    found = {round(refreshes * share): event for share, event in ((0.4, OUTAGE), (0.6, ROBOTS_503), (0.8, MASS_GONE))}
    if (last := round(refreshes * 0.9)) not in found and last < refreshes:
        found[last] = WALL
    return found


def plan(refreshes: int, trust_after: int, density: int, rng: Random) -> list[list[str]]:
    """Return the kinds of changes of each refresh, the first crawl (none) included.

    What passes is not left for the last refresh, which nobody would see it pass after. Pages lie when signals can have
    earned their trust, one signal after the other, so that each is believed for a while. From the middle on, removed
    pages answer with the site's soft 404.
    """
    kinds: list[list[str]] = [[] for _ in range(refreshes + 1)]
    calm = [number for number in range(1, refreshes + 1) if number not in events(refreshes)]
    soft = next(number for number in calm if number * 2 >= refreshes)
    trusted = [number for number in calm[:-1] if number > trust_after] or calm[-1:]

    def play(kind: str, when: Sequence[int], times: int = density) -> None:
        for number in rng.sample(when, min(times, len(when))):
            kinds[number].append(kind)

    for kind in COMMON:
        for number in calm:
            kinds[number] += [kind] * max(1, density // 2)
    for kind in RARE:
        play(kind, calm)
    for kind in PASSING:
        play(kind, calm[:-1])
    for order, signal in enumerate(LIARS):
        first = trusted[min(order, len(trusted) - 1)]
        kinds[first] += [f"lying_{signal}"] * 2
        play(f"lying_{signal}", [later for later in trusted if later > first], density // 2)
    kinds[calm[0]] += ["twin", "removed_page"]
    kinds[soft] += ["soft_404s", "removed_page"]
    play("removed_page", calm)
    play("orphaned_twin", calm[1:], 1)
    play("returned", calm[1:], 1)
    for chosen in kinds:
        chosen.sort(key=lambda kind: kind != "returned")  # first, so that what is removed now stays away for a while
    return kinds
