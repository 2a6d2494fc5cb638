"""Tool calls found in what a model writes, strictly: a block of the form that was asked for, with a tool that was
offered and arguments that are a JSON object, is a call. Everything else is text, to the last character.

What is found depends on what was written and never on how it was cut into pieces. A block in a code fence counts where
the fence holds nothing but such blocks, as models like to fence what they are asked to write exactly.
"""

import re
from collections.abc import Iterator, Set
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from moongate.wire.patch import members

LIMIT = 256 * 1024
"""Characters of a block, or of a fence full of them: beyond that it is text, so that not all of an answer is held."""

_FENCE = re.compile(r" {0,3}(`{3,16})[^`<\n]{0,80}\n")
_FENCE_BEGUN = re.compile(r" {0,3}(?:`{0,2}|`{3,16}[^`<\n]{0,80})\Z")
_FENCE_PLACE = re.compile(r"^ {0,3}`{3}", re.MULTILINE)
_CLOSE_BEGUN = re.compile(r" {0,3}`{0,64}[ \t]{0,64}\Z")
_TICKS = re.compile(r" {0,3}`+")
_SPACE = re.compile(r"[ \t\r\n]*")


class Found(Struct, frozen=True):
    """`arguments` is JSON as the model wrote it; `length`: characters of the answer that it takes the place of."""

    name: str
    arguments: str
    length: int


Piece: TypeAlias = str | Found


class _Asked(Struct):
    name: str
    arguments: Raw


class _Fenced(Struct, frozen=True):
    """A fence that holds nothing but blocks, and where it ends."""

    found: tuple[Found, ...]
    end: int


_asked = msgspec.json.Decoder(_Asked).decode


def opening(mark: str) -> str:
    return f"<call-{mark}>"


def closing(mark: str) -> str:
    return f"</call-{mark}>"


class _Wait(Exception):  # noqa: N818  # no error: what came so far may still become one thing or another
    """`word`: nothing can be said before it comes."""

    def __init__(self, word: str = "") -> None:
        super().__init__(word)
        self.word = word


class CallReader:
    """`offered`: the names of the tools. Text is handed on as it comes, up to what may be the beginning of a block."""

    def __init__(self, mark: str, offered: Set[str]) -> None:
        self._opening, self._closing = opening(mark), closing(mark)
        self._offered = offered
        self._text, self._held = "", _Held()
        self._at_line = True
        self._fence = ""
        """What opened the code we are in, of which all is text."""

    def feed(self, text: str) -> Iterator[Piece]:
        if self._held.add(text):
            yield from self._pieces(is_end=False)

    def end(self) -> Iterator[Piece]:
        """The answer is over: what has not become a block is text."""
        yield from self._pieces(is_end=True)

    def rest(self) -> str:
        """What was held back, unread: the answer was cut off."""
        text, self._text = self._text + self._held.take(), ""
        return text

    def _pieces(self, *, is_end: bool) -> Iterator[Piece]:
        self._text += self._held.take()
        self._held = _Held()
        while self._text:
            try:
                piece, length = self._code(is_end) if self._fence else self._prose(is_end)
            except _Wait as wait:
                self._held = _Held(wait.word, self._text)
                return
            said, self._text = self._text[:length], self._text[length:]
            self._at_line = said.endswith("\n")
            yield from (said,) if piece is None else piece

    def _prose(self, is_end: bool) -> tuple[tuple[Found, ...] | None, int]:
        """What stands first, None for text, and how many characters it is."""
        block = self._text.find(self._opening)
        fence = self._fence_place(block if block >= 0 else len(self._text))
        first = min((place for place in (block, fence) if place >= 0), default=-1)
        if first > 0:
            return None, first
        if first < 0:
            return None, self._sure(is_end)
        return self._block(is_end) if first == block else self._fenced(is_end)

    def _fence_place(self, before: int) -> int:
        places = (found.start() for found in _FENCE_PLACE.finditer(self._text, 0, before))
        return next((place for place in places if place or self._at_line), -1)

    def _sure(self, is_end: bool) -> int:
        """How many characters are text whatever comes."""
        text = self._text
        if is_end:
            return len(text)
        sizes = range(min(len(text), len(self._opening) - 1), 0, -1)
        sure = len(text) - next((size for size in sizes if text.endswith(self._opening[:size])), 0)
        return self._up_to_line(sure, _FENCE_BEGUN)

    def _up_to_line(self, sure: int, begun: re.Pattern[str]) -> int:
        """Without the last line where that may still become a fence."""
        line = self._text.rfind("\n") + 1
        if (line or self._at_line) and begun.match(self._text, line):
            sure = min(sure, line)
        if not sure:
            raise _Wait
        return sure

    def _block(self, is_end: bool) -> tuple[tuple[Found, ...] | None, int]:
        read = self._call(0, is_end)
        return (None, len(self._opening)) if read is None else ((read[0],), read[1])

    def _call(self, start: int, is_end: bool) -> tuple[Found, int] | None:
        """The call whose opening mark stands at `start`, and where it ends; None where it is none, or another begins in
        it."""
        text, body = self._text, start + len(self._opening)
        inner = self._skip(body, is_end)
        if not text.startswith("{", inner):
            return None
        bound = LIMIT + len(self._closing)
        another = text.find(self._opening, inner, bound)
        end = text.find(self._closing, inner, another if another >= 0 else bound)
        if end < 0:
            if is_end or another >= 0 or len(text) >= bound:
                return None
            raise _Wait(self._closing)
        call = _read(text[inner:end], self._offered)
        end += len(self._closing)
        return None if call is None else (Found(*call, end - start), end)

    def _skip(self, start: int, is_end: bool) -> int:
        """Past the space at `start`."""
        found = _SPACE.match(self._text, start)
        end = found.end() if found else start
        if end == len(self._text) and end < LIMIT and not is_end:
            raise _Wait
        return end

    def _fenced(self, is_end: bool) -> tuple[tuple[Found, ...] | None, int]:
        fence = _FENCE.match(self._text)
        if fence is None:
            if not is_end and _FENCE_BEGUN.match(self._text):
                raise _Wait
            ticks = _TICKS.match(self._text)
            return None, ticks.end() if ticks else len(self._text)
        read = self._blocks(fence.end(), fence[1], is_end)
        if read is not None:
            return read.found, read.end
        self._fence = fence[1]
        return None, fence.end()

    def _blocks(self, start: int, fence: str, is_end: bool) -> _Fenced | None:
        """What the fence that opened before `start` holds, None where that is not blocks alone."""
        found: list[Found] = []
        end = re.compile(rf"`{{{len(fence)},64}}[ \t]{{0,64}}(?:\n|\Z)")
        at = self._skip(start, is_end)
        while at < LIMIT:
            rest = self._text[at : at + len(self._opening)]
            if rest == self._opening:
                read = self._call(at, is_end)
                if read is None:
                    return None
                found.append(read[0])
                at = self._skip(read[1], is_end)
            elif not is_end and self._opening.startswith(rest):
                raise _Wait
            elif not found:
                return None
            elif at == len(self._text):
                return _whole(found, at)
            else:
                closed = end.match(self._text, at)
                if not is_end and at + 129 > len(self._text) and _CLOSE_BEGUN.match(self._text, at):
                    raise _Wait
                return _whole(found, closed.end()) if closed else None
        return None

    def _code(self, is_end: bool) -> tuple[None, int]:
        close = re.compile(rf"^ {{0,3}}`{{{len(self._fence)},64}}[ \t]{{0,64}}\n", re.MULTILINE)
        for found in close.finditer(self._text):
            if found.start() or self._at_line:
                self._fence = ""
                return None, found.end()
        return None, len(self._text) if is_end else self._up_to_line(len(self._text), _CLOSE_BEGUN)


class _Held:
    """Text that waits for more, and in linear time: not looked at again before the word has come it waits for."""

    def __init__(self, word: str = "", before: str = "") -> None:
        self._word = word
        self._tail = before[-len(word) :] if word else ""
        self._size = len(before)
        self._parts: list[str] = []

    def add(self, text: str) -> bool:
        """Whether it is time to look."""
        self._parts.append(text)
        if not self._word:
            return True
        self._size += len(text)
        seen = self._tail + text
        self._tail = seen[-len(self._word) :]
        return self._word in seen or self._size >= LIMIT + len(self._word)

    def take(self) -> str:
        text = "".join(self._parts)
        self._parts.clear()
        return text


def _whole(found: list[Found], end: int) -> _Fenced:
    """The fence goes with the first."""
    first = Found(found[0].name, found[0].arguments, end - sum(call.length for call in found[1:]))
    return _Fenced((first, *found[1:]), end)


def _read(body: str, offered: Set[str]) -> tuple[str, str] | None:
    """(name, arguments), None for what is no call."""
    try:
        asked = _asked(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if asked.name not in offered or members(asked.arguments) is None:
        return None
    return asked.name, bytes(asked.arguments).decode()
