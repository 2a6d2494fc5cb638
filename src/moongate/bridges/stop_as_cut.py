"""Stop words for a model that knows none: its answer is told up to the first of them.

The upstream goes on to its own end, which is waited for: what it then tells, of tokens and of where it remembers the
exchange, is needed. What it says meanwhile is dropped, except for thinking.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import assert_never

from moongate.bridges.rewriting import Citations
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import (
    Anchored,
    Cited,
    Closed,
    Delta,
    Finished,
    FinishReason,
    Metered,
    Opened,
    Text,
    Thinking,
    ToolCall,
)

MOST, LONGEST = 16, 200
"""Stop words of one request, and characters of each: all of them are looked for at every word of the answer."""


def stop_words(given: Iterable[str]) -> tuple[str, ...]:
    """Those that can be looked for. Raises GatewayError (INVALID_REQUEST) where there are too many or too long ones."""
    words = tuple(word for word in given if word)
    if len(words) > MOST or any(len(word) > LONGEST for word in words):
        message = f"stop: this upstream takes up to {MOST} stop words of up to {LONGEST} characters"
        raise GatewayError(Kind.INVALID_REQUEST, message, param="stop")
    return words


class Cut:
    """`stops`: words of at least one character. Text that may be the beginning of one is held back."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._most_held = max(map(len, self._stops)) - 1
        self._text = ""
        self._is_cut = False
        self._has_called = False
        self._citations = Citations()

    def feed(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            match delta:
                case Text(text):
                    yield from self._say(text)
                case ToolCall():
                    yield from self._call(delta)
                case Cited():
                    self._citations.hold(delta)
                    yield from self._citations.ripe()
                case Finished(reason):
                    yield from self._tell(len(self._text))
                    yield Finished(self._reason() if self._is_cut else reason)
                case Closed():
                    yield from self._tell(len(self._text))
                    yield delta
                case Opened() | Thinking() | Anchored() | Metered():
                    yield delta
                case _:
                    assert_never(delta)

    def _call(self, delta: ToolCall) -> Iterator[Delta]:
        """Called after the cut, it would not have been: the model would have stopped."""
        if not self._is_cut:
            yield from self._tell(len(self._text))
            self._has_called = True
            yield delta

    def _reason(self) -> FinishReason:
        return "tool_calls" if self._has_called else "stop"

    def _say(self, text: str) -> Iterator[Delta]:
        if self._is_cut:
            self._citations.left_out(len(text))
            return
        self._text += text
        found = [(place + len(stop), place) for stop in self._stops if (place := self._text.find(stop)) >= 0]
        if not found:
            yield from self._tell(len(self._text) - self._held())
            return
        _, place = min(found)  # the one that was complete first: a model that knew them would have stopped there
        yield from self._tell(place)
        self._citations.left_out(len(self._text))
        self._text, self._is_cut = "", True

    def _held(self) -> int:
        """How many of the last characters may be the beginning of a stop word."""
        tail = self._text[-self._most_held :] if self._most_held else ""
        rests = (tail[i:] for i in range(len(tail)))
        return next((len(rest) for rest in rests if any(stop.startswith(rest) for stop in self._stops)), 0)

    def _tell(self, characters: int) -> Iterator[Delta]:
        told, self._text = self._text[:characters], self._text[characters:]
        if told:
            self._citations.told(len(told))
            yield Text(told)
        yield from self._citations.ripe()
