"""What pages a search has found, by every name an answer may refer to them.

Search results have come in five forms since 2024; all are read, because the site moves between them without notice.
Where two pages bear the same number neither is found by it: no citation is better than a false one.
"""

from msgspec import Struct

from moongate.upstreams.kimi_web.answers import Members, each, members, word


class Page(Struct, frozen=True):
    url: str
    title: str = ""


class Pages:
    """The pages known so far, by `refIndex`, by id, by tool call and place, or by their place in the whole list."""

    def __init__(self) -> None:
        self._named: dict[str, Page | None] = {}
        self._placed: dict[str, Page | None] = {}
        self._listed: list[Page] = []
        self._used: dict[str, Page] = {}
        self._has_places = False

    @property
    def used(self) -> tuple[Page, ...]:
        """Those the upstream says the answer draws on, each once."""
        return tuple(self._used.values())

    def find(self, reference: str) -> Page | None:
        """The page meant by `web_search:1#0`, `tools://web_search_0#0` or `1`."""
        name = reference.removeprefix("tools://")
        for known in (self._named, self._placed):
            if name in known:
                return known[name]
        _, mark, place = name.rpartition("#")
        if mark and place.isdecimal() and not self._has_places:  # places are counted from 0 and ids from 1
            return self._named.get(str(int(place) + 1))
        if name.isdecimal() and 0 < int(name) <= len(self._listed):
            return self._listed[int(name) - 1]
        return None

    def name(self, reference: str, page: Page) -> None:
        self._has_places |= "#" in reference
        _enter(self._named, reference, page)

    def place(self, call: str, place: int, page: Page) -> None:
        """A tool call's result, by its place. A name that the result bears itself goes before."""
        self._has_places = True
        _enter(self._placed, f"{call}#{place}", page)

    def add(self, page: Page) -> None:
        """A result that bears no name: it counts by its place."""
        self._listed.append(page)

    def knows(self, page: Page) -> bool:
        return any(page.url == one.url for one in self._listed)

    def use(self, page: Page) -> None:
        self._used.setdefault(page.url, page)


def read_results(pages: Pages, items: object, call: str = "", *, is_mirror: bool = False) -> None:
    """Results with names of their own, or none. `call`: of which tool; `is_mirror`: they may have been told before."""
    for place, item in enumerate(map(_result, each(items))):
        if page := _page(item):
            names = _names(item, "refIndex", "id")
            for name in names:
                pages.name(name, page)
            if call:
                pages.place(call, place, page)
            if not names and not (is_mirror and pages.knows(page)):
                pages.add(page)


def read_refs(pages: Pages, refs: Members) -> None:
    """`message.refs`, since 2026-03: what was found, and what of it was used."""
    read_results(pages, refs.get("searchChunks"))
    for item in map(_result, each(refs.get("usedSearchChunks"))):
        named = (pages.find(name) for name in _names(item, "refIndex", "id"))
        if page := _page(item) or next(filter(None, named), None):
            pages.use(page)


def read_search(pages: Pages, search: Members, *, is_mirror: bool) -> None:
    """`block.search` and `ref.search`, 2025-09 to 2026-01; one with a `base` is a single result."""
    read_results(pages, search.get("webPages"), is_mirror=is_mirror)
    if "base" in search:
        read_results(pages, [search], is_mirror=is_mirror)


def read_tool(pages: Pages, tool: Members, call: str) -> None:
    """`block.tool` of a web search, since 2026-06. Other tools' contents are no results."""
    read_results(pages, [item for item in each(tool.get("contents")) if "searchResult" in item], call)


def read_citations(pages: Pages, values: object) -> None:
    """`search_citation` of 2025: numbers, and what they stand for, of which nobody has recorded the inside."""
    for number, value in members(values).items():
        if page := _page(members(value)):
            pages.name(number, page)
        if known := pages.find(number):
            pages.use(known)


def read_cards(pages: Pages, cards: object) -> None:
    """`ref_docs` of 2025: the pages under an answer."""
    for card in each(cards):
        if page := _page(card):
            for name in _names(card, "index", "id"):
                pages.name(name, page)
            pages.use(page)


def _enter(known: dict[str, Page | None], name: str, page: Page) -> None:
    other = known.setdefault(name, page)
    if other is not None and other.url != page.url:
        known[name] = None


def _result(item: Members) -> Members:
    """Without the wrapping some have."""
    return members(item.get("searchResult")) or item


def _page(item: Members) -> Page | None:
    base = members(item.get("base")) or item
    url = word(base, "url")
    return Page(url, word(base, "title")) if url.startswith(("https://", "http://")) else None


def _names(item: Members, *fields: str) -> list[str]:
    values = (item.get(field) for field in fields)
    return [str(value) for value in values if isinstance(value, str | int) and value != "" and value is not True]
