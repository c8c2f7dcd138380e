"""The next page of a listing, found by itself: pure functions over a parsed page.

What a site says plainly comes first: rel=next (HTML section 4.6.7), words, classes, signs, at last a row of numbers.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice

from lxml.html import HtmlElement

from lcl_spiders.extraction.links import MAX_LINKS, base_of, classes, folder_of, target_of, text_of

MOST_PAGERS = 2
"""Different pages that links of one kind may lead to, as a pager's and a calendar's do; more are links of cards."""

_LONGEST = 40
_ROW_OF_WEEK = (7, 8)  # cells, the number of the week being one
_LEVELS = 4  # from a number up to the row of numbers that it stands in
_WORDS = frozenset(
    line.strip()
    for line in """
    next; next page; go to next page; go to the next page; older; older posts; older entries; load more; next month
    volgende; volgende pagina; ga naar volgende pagina; ga naar de volgende pagina; naar volgende pagina; verder
    oudere berichten; meer laden; laad meer; volgende maand
    weiter; nächste; nächste seite; zur nächsten seite; vor; vorwärts; ältere beiträge; mehr laden; nächster monat
    suivant; suivante; suivants; page suivante; aller à la page suivante; articles plus anciens; charger plus
    mois suivant; siguiente; siguientes; página siguiente; siguiente página; pagina siguiente; cargar más
    successivo; successiva; pagina successiva; avanti; prossima; prossima pagina; carica altro
    próximo; próxima; próxima página; seguinte; página seguinte; carregar mais; següent; pàgina següent
    următorul; următoarea; pagina următoare; następna; następny; następna strona; dalej; další; následující
    další stránka; ďalšia; ďalej; nästa; nästa sida; næste; næste side; neste; neste side; seuraava; seuraava sivu
    következő; következő oldal; sonraki; sonraki sayfa; ileri; επόμενη; επόμενο; επόμενη σελίδα
    следующая; следующая страница; далее; вперед; вперёд; наступна; наступна сторінка; далі
    次へ; 次; 次のページ; 下一页; 下一頁; 下页; 다음; 다음 페이지
    """.replace("\n", ";").split(";")
    if line.strip()
)
_SIGNS = (frozenset("›>→⟩❯⟶▶►▸"), frozenset({"»", ">>", "››", "≫"}))  # the second may lead to the last page
_NOT_LETTERS = re.compile(r"[\W\d_]+")
_NEXT_CLASS = re.compile(r"(?:^|[-_])(?:next|volgende)(?:$|[-_])|^next(?:postslink|page)$|^pagenext$")
_OFF = frozenset({"disabled", "is-disabled", "inactive"})
_ELSEWHERE = re.compile(r"slid|slick|swiper|carousel|owl|gallery|lightbox")
_CURRENT = frozenset({"current", "active", "selected", "is-active", "is-current"})
_NUMBER = re.compile(r"[1-9][0-9]{0,2}")


def next_pages(tree: HtmlElement, url: str) -> list[str]:
    """Return the canonical URLs of the pages to which a listing's page leads on, none on its last.

    One as a rule; a row of numbers that does not say where it stands gives all of them.
    """
    base = base_of(tree, url)
    for element in tree.iter("link", "a", "area"):
        if "next" in element.get("rel", "").lower().split() and (target := target_of(element, base)) not in {None, url}:
            return [str(target)]
    links = {link: target for link in islice(tree.iter("a"), MAX_LINKS) if (target := target_of(link, base))}
    onward = {link: target for link, target in links.items() if target != url and not _is_off(link)}
    evidence: list[Callable[[HtmlElement], bool]] = [_says_next, _is_called_next]
    evidence += [partial(_shows, signs=signs) for signs in _SIGNS]
    for says_so in evidence:
        found = list(dict.fromkeys(target for link, target in onward.items() if says_so(link)))
        if 0 < len(found) <= MOST_PAGERS:
            return found
    return _by_number(links, url)


def _is_off(link: HtmlElement) -> bool:
    names = {*classes(link), *classes(link.getparent())}
    is_disabled = link.get("aria-disabled") == "true" or not names.isdisjoint(_OFF)
    return is_disabled or any(_ELSEWHERE.search(name) for name in names)


def _says_next(link: HtmlElement) -> bool:
    said = [link.text_content(), link.get("aria-label", ""), link.get("title", "")]
    said += [image.get("alt", "") for image in link.iter("img")]
    return any(len(text) < _LONGEST and _NOT_LETTERS.sub(" ", text).strip().lower() in _WORDS for text in said)


def _is_called_next(link: HtmlElement) -> bool:
    parent = link.getparent()
    names = [*classes(link), *(classes(parent) if parent.tag in {"li", "span", "div"} else [])]
    return any(_NEXT_CLASS.search(name) for name in names)


def _shows(link: HtmlElement, signs: frozenset[str]) -> bool:
    return text_of(link) in signs


def _by_number(links: Mapping[HtmlElement, str], url: str) -> list[str]:
    """Return the next page by a row of numbers, "1 2 3 … 9"."""
    seen: set[HtmlElement] = set()
    for link in links:
        if not _number_of(link) or _is_in_calendar(link):
            continue
        for row in islice(link.iterancestors(), _LEVELS):
            if row in seen:
                break
            seen.add(row)
            numbers, current = _read_row(row, links, url)
            if _is_pager(numbers, current):
                if current is None and 1 in numbers:
                    return list(dict.fromkeys(numbers.values()))
                later = [number for number in numbers if number > (current or 0)]
                return [numbers[min(later)]] if later else []
    return []


def _read_row(row: HtmlElement, links: Mapping[HtmlElement, str], url: str) -> tuple[dict[int, str], int | None]:
    """Return the pages that a row of numbers links to by their number, and the number of the page itself."""
    numbers: dict[int, str] = {}
    shown = marked = None
    for element in islice(row.iterdescendants(), MAX_LINKS):
        if not isinstance(element.tag, str) or (number := _number_of(element)) is None:
            continue
        if _is_current(element):
            marked = number
        elif (target := links.get(element)) is not None and target != url:
            numbers.setdefault(number, target)
        elif shown is None and (target == url or not any(True for _ in element.iter("a"))):
            shown = number
    current = marked or shown
    return {number: target for number, target in numbers.items() if number != current}, current


def _is_pager(numbers: Mapping[int, str], current: int | None) -> bool:
    """Return whether numbers count the pages of one listing: URLs of one kind, and neighbours among the numbers."""
    if len({folder_of(target).partition("?")[0] for target in numbers.values()}) > len(numbers) // 2 + 1:
        return False
    around = {*numbers} if current is None else {*numbers, current}
    return bool(numbers) and any(number + 1 in around for number in around)


def _is_current(element: HtmlElement) -> bool:
    return element.get("aria-current", "false") != "false" or not _CURRENT.isdisjoint(classes(element))


def _number_of(element: HtmlElement) -> int | None:
    """Return the number that is all of an element's text."""
    if sum(1 for _ in islice(element.iterdescendants(), 4)) > 3:
        return None
    found = _NUMBER.fullmatch(text_of(element))
    return int(found[0]) if found else None


def _is_in_calendar(link: HtmlElement) -> bool:
    cell = next((each for each in islice(link.iterancestors(), _LEVELS) if each.tag in {"td", "th"}), None)
    return cell is not None and len(cell.getparent()) in _ROW_OF_WEEK
