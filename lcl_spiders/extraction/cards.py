"""The items of a listing, found by themselves as repeated cards: pure functions over a parsed page."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile

from lxml.html import HtmlElement

from lcl_spiders.extraction.links import MAX_LINKS, base_of, classes, folder_of, target_of, text_of

LEAST = 3
"""Cards make a listing."""

_TRIED = 20  # groups of links whose text is looked at
_ENOUGH, _FOR_A_LINK = 200, 20  # characters of a card's text that count, and what its link counts beside them
_LEVELS = 100  # from a link up to the top of its card
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_LANDMARKS = frozenset({"nav", "aside", "template", "dialog"})
_OF_THE_SITE = frozenset({"header", "footer"})  # outside of these, which have headers of their own:
_SECTIONS = frozenset({"main", "article", "section", "li", "td", "figure"})
_ROLES = frozenset({"navigation", "banner", "contentinfo", "complementary", "search"})
_BOILERPLATE = frozenset(
    {
        *("nav", "navbar", "navigation", "menu", "mainmenu", "submenu", "breadcrumb", "breadcrumbs", "skip-link"),
        *("pagination", "pager", "paging", "sidebar", "footer", "site-header", "site-footer", "cookie"),
        *("social", "share", "filter", "filters", "facets", "tags", "tagcloud", "tag-cloud"),
    }
)
_VARIANTS = frozenset(
    {
        *("odd", "even", "first", "last", "alt", "new", "active", "current", "selected", "sticky"),
        *("featured", "highlight", "highlighted"),
    }
)
_ROW_OF_WEEK = (7, 8)  # cells, the number of the week being one
_DIGITS = str.maketrans("", "", "0123456789")


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    element: HtmlElement
    url: str


def item_links(
    tree: HtmlElement, url: str, is_item: Callable[[str], bool], folders: Collection[str] = frozenset()
) -> list[str]:
    """Return the canonical URLs of a listing's items in document order, [] when nothing on the page repeats.

    Items are what `item_cards` finds. `folders` (see `folder_of`): those of items found on other pages of the listing;
    a page without a group, as its last one may be, has those of its links that lead into one of them.
    """
    groups = _groups(tree, url, is_item)
    if cards := _largest(tree, groups):
        return list(cards)
    return list(dict.fromkeys(link.url for group in groups for link in group if folder_of(link.url) in folders))


def item_cards(tree: HtmlElement, url: str, is_item: Callable[[str], bool]) -> dict[str, HtmlElement]:
    """Return the cards of a listing by the canonical URLs of their items, in document order, {} when nothing repeats.

    Items are the links of the largest group of cards, by the text in them: links that stand in the same place of the
    same structure (tags and classes), at least three, with URLs of their own for which `is_item` holds. What stands in
    navigation, header, footer or sidebar is no item. A card that has an odd class still belongs to its neighbours.
    """
    return _largest(tree, _groups(tree, url, is_item))


def _groups(tree: HtmlElement, url: str, is_item: Callable[[str], bool]) -> list[list[_Link]]:
    base = base_of(tree, url)
    groups: defaultdict[int, list[_Link]] = defaultdict(list)
    for element, place in islice(_placed(tree), MAX_LINKS):
        target = target_of(element, base)
        if target is not None and target != url and is_item(target):
            groups[place].append(_Link(element, target))
    return list(groups.values())


def _largest(tree: HtmlElement, groups: list[list[_Link]]) -> dict[str, HtmlElement]:
    wanted = [part for group in groups for part in _parted(group) if _count(part) >= LEAST]
    if not wanted:
        return {}
    largest = sorted(wanted, key=_count, reverse=True)[:_TRIED]
    cards = max((_cards(group) for group in largest), key=_weight)
    eligible = {link.element: link.url for group in groups for link in group}
    return _in_order(tree, {**cards, **_neighbours(cards, eligible)}, eligible)


def _placed(tree: HtmlElement) -> Iterator[tuple[HtmlElement, int]]:
    """Yield the links outside of boilerplate, each with the number of its place: equal ones have equal ancestors."""
    places: dict[tuple[int, str], int] = {}
    stack = [(tree, 0, False)]
    while stack:
        element, above, is_inside = stack.pop()
        if not isinstance(element.tag, str) or _is_boilerplate(element, is_inside=is_inside):
            continue
        place = places.setdefault((above, _step(element)), len(places) + 1)
        if element.tag == "a":
            yield element, place
            continue
        within = is_inside or element.tag in _SECTIONS
        stack.extend((child, place, within) for child in reversed(element))


def _is_boilerplate(element: HtmlElement, *, is_inside: bool) -> bool:
    tag = element.tag
    if tag in {"html", "body", "main"}:
        return False
    if tag in _LANDMARKS or (tag in _OF_THE_SITE and not is_inside) or element.get("role") in _ROLES:
        return True
    if _BOILERPLATE.isdisjoint((*classes(element), str(element.get("id", "")).lower())):
        return False
    return next(element.iter("main", "h1"), None) is None  # else the page itself is called that


def _step(element: HtmlElement) -> str:
    """Return how an element looks to one that looks for its like: the tag, and the class that does not vary."""
    names = (name.translate(_DIGITS) for name in classes(element))
    name = next((name for name in names if name.strip("-_") not in _VARIANTS and name.strip("-_")), "")
    if element.tag in {"td", "th"}:
        row = element.getparent()
        if sum(1 for _ in islice(row, max(_ROW_OF_WEEK) + 1)) not in _ROW_OF_WEEK:  # len() counts all of a long one
            return f"{element.tag}.{name}[{row.index(element)}]"
    return f"{element.tag}.{name}"


def _parted(group: list[_Link]) -> list[list[_Link]]:
    """Return the links of one place, parted where each card has several that lead to pages of different kinds."""
    of_parent: defaultdict[HtmlElement, list[_Link]] = defaultdict(list)
    for link in group:
        of_parent[link.element.getparent()].append(link)
    sizes = {len(links) for links in of_parent.values()}
    if len(of_parent) < LEAST or len(sizes) != 1 or sizes == {1}:
        return [group]
    parts = [list(part) for part in zip(*of_parent.values(), strict=True)]
    kinds = [frozenset(folder_of(link.url) for link in part) for part in parts]
    return parts if all(len(kind) == 1 for kind in kinds) and len(set(kinds)) > 1 else [group]


def _count(group: Iterable[_Link]) -> int:
    return len({link.url for link in group})


def _cards(group: Iterable[_Link]) -> dict[HtmlElement, HtmlElement]:
    """Return the first link to each page with its card: what holds this one and no other of them."""
    links = {link.url: link.element for link in reversed(list(group))}
    held = Counter(above for element in links.values() for above in _above(element))
    cards = {}
    for element in reversed(links.values()):
        own = takewhile(lambda above: held[above] == 1, _above(element))
        cards[element] = next(reversed([element, *own]))
    return cards


def _weight(cards: dict[HtmlElement, HtmlElement]) -> tuple[int, int, int]:
    """Return how much of a listing a group of cards is: text in them, then links in headings, then text of links."""
    text = sum(_FOR_A_LINK + min(_ENOUGH, len(text_of(card))) for card in cards.values())
    in_headings = sum(map(_is_in_heading, cards))
    return text, in_headings, sum(min(_ENOUGH, len(text_of(link))) for link in cards)


def _above(link: HtmlElement) -> Iterator[HtmlElement]:
    return islice(link.iterancestors(), _LEVELS)


def _is_in_heading(link: HtmlElement) -> bool:
    return any(above.tag in _HEADINGS for above in _above(link))


def _neighbours(
    cards: dict[HtmlElement, HtmlElement], eligible: dict[HtmlElement, str]
) -> dict[HtmlElement, HtmlElement]:
    """Return the main links, with their cards, of cards that stand among these and have an odd class."""
    beside = Counter(card.getparent() for card in cards.values())
    held = {above for link in cards for above in (link, *_above(link))}
    looks = {(card.tag, name) for card in cards.values() for name in classes(card) or [""]}
    found = {}
    for parent, count in beside.items():
        for card in parent if count > 1 else ():
            if card in held or not any((card.tag, name) in looks for name in classes(card) or [""]):
                continue
            links = [link for link in card.iter("a") if link in eligible]
            if links:
                main = max(links, key=_is_in_heading)
                found[main] = card
    return found


def _in_order(
    tree: HtmlElement, cards: dict[HtmlElement, HtmlElement], urls: dict[HtmlElement, str]
) -> dict[str, HtmlElement]:
    found: dict[str, HtmlElement] = {}
    for link in tree.iter("a"):
        if link in cards:
            found.setdefault(urls[link], cards[link])
    return found
