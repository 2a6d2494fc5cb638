"""Takes the marks for citations out of an answer's text, and tells what they cite.

Theory of operation: text is told up to the first character that may begin a mark; what follows is held back until it
is a mark, or can be none any more. Which of the two is decided by characters alone, never by how they were cut into
pieces. A mark in private-use characters can be nothing else and is never told, broken or not; `[^` and `<REF>` that
become no mark are text. How the marks look was seen in 2025 and 2026, in captures and in several independent clients.
"""

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

from msgspec import Struct

from moongate.core.events import Cited, Text
from moongate.upstreams.kimi_web.search import Page, Pages

Marks: TypeAlias = Literal["links", "none", "raw"]
"""What becomes of a mark: `[1]` in its place, nothing, or what it was."""

HELD = 800
"""Characters of a mark at most: those seen have a quote of some hundred. What goes on for longer is none."""

_OPEN, _CLOSE = "\ue3a0", "\ue3a8"
_BEGIN = re.compile(f"[\\[<{_OPEN}-{_CLOSE}]")
_APART = re.compile("[\ue3a0-\ue3a8\U0001f000-\U0001faff\u2726\ufe0f]+")
"""What stands between a mark's references: private-use characters, or what others saw in their place."""

_NAME = r"(?:tools://)?[\w.:-]+#\d+"
_REFERENCE = re.compile(_NAME, re.ASCII)
_FOOTNOTE = re.compile(r"\[\^(\d{1,6}|[\w.:-]{1,64}#\d{1,6})\^\]", re.ASCII)
_FOOTNOTE_BEGUN = re.compile(r"\[(?:\^(?:[\w.:#-]{1,72}\^?)?)?", re.ASCII)
_TAG, _TAG_END = "<REF>cite", "</REF>"
_QUOTE = ":~:text="
_BROKEN = re.compile(
    rf"{_OPEN}[a-z]*(?:[\ue3a1-\ue3a7]+(?:{_NAME}(?:{_QUOTE}[^\s\ue3a0-\ue3a8]*)?|[\w:/#-]*))*", re.ASCII
)
"""What of a mark that was never closed is certainly not the answer's text."""


class Mark(Struct, frozen=True):
    """`raw` is how it stood in the text; `references` name pages, in their order."""

    raw: str
    references: tuple[str, ...] = ()


Piece: TypeAlias = str | Mark


class Marking:
    """Cuts a text that comes in pieces into marks and what stands between them."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> Iterator[Piece]:
        yield from self._cut(self._held + text, is_all=False)

    def end(self) -> Iterator[Piece]:
        yield from self._cut(self._held, is_all=True)

    def _cut(self, text: str, *, is_all: bool) -> Iterator[Piece]:
        place, self._held = 0, ""
        while begin := _BEGIN.search(text, place):
            at = begin.start()
            if at > place:
                yield text[place:at]
            piece = _piece(text[at : at + HELD], is_all=is_all)
            if piece is None:
                self._held = text[at:]
                return
            yield piece
            place = at + len(piece.raw if isinstance(piece, Mark) else piece)
        if place < len(text):
            yield text[place:]


def _piece(text: str, *, is_all: bool) -> Piece | None:
    """What `text`, as much of it as may be a mark, begins with; None where that cannot be told before more has come."""
    if text[0] == "[":
        found = _FOOTNOTE.match(text)
        if found is None and not is_all and _FOOTNOTE_BEGUN.fullmatch(text):
            return None
        return Mark(found[0], (found[1],)) if found else "["
    if text[0] == "<":
        return _tag(text, is_all=is_all)
    if text[0] == _OPEN:
        return _span(text, is_all=is_all)
    return Mark(text[0])  # the rest of a mark whose beginning was lost


def _tag(text: str, *, is_all: bool) -> Piece | None:
    if text.startswith(_TAG):
        inner, end, _ = text[len(_TAG) :].partition(_TAG_END)
        if end:
            return Mark(f"{_TAG}{inner}{end}", _references(inner))
    is_begun = _TAG.startswith(text) or text.startswith(_TAG)
    return None if is_begun and not is_all and len(text) < HELD else "<"


def _span(text: str, *, is_all: bool) -> Piece | None:
    end, again = text.find(_CLOSE), text.find(_OPEN, 1)
    if end > 0 and (again < 0 or end < again):
        return Mark(text[: end + 1], _references(text[1:end]))
    if again < 0 and not is_all and len(text) < HELD:
        return None
    broken = _BROKEN.match(text, 0, again if again > 0 else len(text))
    return Mark(broken[0] if broken else text[0])


def _references(inner: str) -> tuple[str, ...]:
    parts = (part.partition(_QUOTE)[0] for part in _APART.split(inner))
    return tuple(name for part in parts for name in _REFERENCE.findall(part))


class Citations:
    """Tells an answer's text as `marks` wishes it. `pages` is filled by whoever reads the search results; a mark may
    come before its page, and is then cited at the end."""

    def __init__(self, marks: Marks) -> None:
        self.pages = Pages()
        self._marks = marks
        self._marking = Marking()
        self._numbers: dict[str, int] = {}
        self._told = 0
        self._has_cited = False
        self._open: list[tuple[str, int, int]] = []

    @property
    def told(self) -> int:
        """Characters of the text so far."""
        return self._told

    def feed(self, text: str) -> Iterator[Text | Cited]:
        yield from self._tell(self._marking.feed(text))

    def end(self) -> Iterator[Text | Cited]:
        """What was held back, and what could not be cited where it stood."""
        yield from self._tell(self._marking.end())
        unknown, self._open = self._open, []
        for name, start, end in unknown:
            yield from self._cite(name, self.pages.find(name), start, end)
        if not self._has_cited:
            for page in self.pages.used:
                yield from self._cite("", page, self._told, self._told)

    def _tell(self, pieces: Iterator[Piece]) -> Iterator[Text | Cited]:
        said: list[str] = []
        cited: list[Cited] = []
        for piece in pieces:
            for part in self._mark(piece) if isinstance(piece, Mark) else (piece,):
                if isinstance(part, Cited):
                    cited.append(part)
                else:
                    said.append(part)
                    self._told += len(part)
        if text := "".join(said):
            yield Text(text)
        yield from cited

    def _mark(self, mark: Mark) -> Iterator[str | Cited]:
        if self._marks == "raw":
            start = self._told
            yield mark.raw
            for name in dict.fromkeys(mark.references):
                yield from self._cite(name, self.pages.find(name), start, self._told)
            return
        done: set[str] = set()
        for name in mark.references:
            page = self.pages.find(name)
            if page is None or page.url not in done:
                start = self._told
                if page and self._marks == "links":
                    yield f"[{self._number(page)}]"
                yield from self._cite(name, page, start, self._told)
            done |= {page.url} if page else set()

    def _cite(self, name: str, page: Page | None, start: int, end: int) -> Iterator[Cited]:
        if page is None:
            self._open.append((name, start, end))
        else:
            self._has_cited = True
            yield Cited(page.url, page.title, start, end)

    def _number(self, page: Page) -> int:
        return self._numbers.setdefault(page.url, len(self._numbers) + 1)
