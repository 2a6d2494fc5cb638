"""Replies rewritten on their way back, delta by delta."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from msgspec import structs

from moongate.core.errors import GatewayError
from moongate.core.events import Cited, Delta, Reading
from moongate.dialects.dialect import Decoder


class Rewriter(Protocol):
    def feed(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        """What was held back is told before `Finished`. Raises GatewayError (FAILED) before `Finished` where the reply
        is not what was asked for."""


class Chain:
    """Rewriters one after the other, the first nearest to the upstream."""

    def __init__(self, rewriters: Sequence[Rewriter]) -> None:
        self._rewriters = tuple(rewriters)

    def feed(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        for rewriter in self._rewriters:
            deltas = rewriter.feed(deltas)
        yield from deltas


class RewritingDecoder:
    """Reads as `inner` does, and tells what the rewriter makes of it. `raw` stays what came."""

    def __init__(self, inner: Decoder, rewriter: Rewriter) -> None:
        self._inner = inner
        self._rewriter = rewriter

    def feed(self, data: bytes) -> Iterator[Reading]:
        return self._rewritten(self._inner.feed(data))

    def end(self) -> Iterator[Reading]:
        return self._rewritten(self._inner.end())

    def _rewritten(self, readings: Iterable[Reading]) -> Iterator[Reading]:
        for reading in readings:
            told: list[Delta] = []
            try:
                told.extend(self._rewriter.feed(reading.deltas))
            except GatewayError:  # what was told before it still belongs to the caller
                yield Reading(reading.raw, tuple(told))
                raise
            yield Reading(reading.raw, tuple(told))


class Citations:
    """Holds citations back until their text is told, and moves them as far as text before them was left out.

    `told` and `left_out` take down, piece by piece, what becomes of the answer's text as the upstream wrote it.
    """

    def __init__(self) -> None:
        self._held: list[Cited] = []
        self._length = 0
        self._edges: list[tuple[int, int, int]] = []
        """What was told, as (start, end, characters left out before it)."""
        self._left_out = 0

    def hold(self, cited: Cited) -> None:
        self._held.append(cited)

    def told(self, characters: int) -> None:
        start, self._length = self._length, self._length + characters
        if self._edges and self._edges[-1][1:] == (start, self._left_out):
            start = self._edges.pop()[0]
        self._edges.append((start, self._length, self._left_out))

    def left_out(self, characters: int) -> None:
        self._length += characters
        self._left_out += characters

    def ripe(self) -> Iterator[Cited]:
        """Those whose text has been dealt with; those of which it was not told are dropped."""
        held, self._held = self._held, []
        for cited in held:
            if cited.end > self._length:
                self._held.append(cited)
            elif (moved := self._moved(cited)) is not None:
                yield moved

    def _moved(self, cited: Cited) -> Cited | None:
        if not self._left_out:
            return cited
        at = bisect_right(self._edges, (cited.start, float("inf"), 0)) - 1
        if at < 0:
            return None
        _, end, gone = self._edges[at]
        return structs.replace(cited, start=cited.start - gone, end=cited.end - gone) if cited.end <= end else None
