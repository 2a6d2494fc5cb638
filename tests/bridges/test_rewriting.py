"""A reply that is rewritten keeps its bytes, its errors and its order."""

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.bridges.json_as_text import Json
from moongate.bridges.rewriting import Chain, Citations, RewritingDecoder
from moongate.bridges.stop_as_cut import Cut
from moongate.bridges.tools_as_text import Calls
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import (
    Anchored,
    Cited,
    Closed,
    Delta,
    Finished,
    Metered,
    Opened,
    Reading,
    Text,
    Thinking,
    Usage,
)


class Script:
    """A decoder that makes one reading of each word it is fed, and ends its reply."""

    def feed(self, data: bytes) -> Iterator[Reading]:
        for word in data.decode().split():
            if word == "break":
                raise GatewayError.protocol("it broke")
            yield Reading(word.encode(), (Text(word),))

    def end(self) -> Iterator[Reading]:
        yield Reading(b"end", (Finished("stop"), Closed()))


class Loud:
    """Tells every text louder, and fails at the word `no`."""

    def feed(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            if delta == Text("no"):
                yield Text("N")
                raise GatewayError(Kind.FAILED, "it said no")
            yield Text(delta.text.upper()) if isinstance(delta, Text) else delta


class Twice:
    def feed(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            yield from (delta, delta) if isinstance(delta, Text) else (delta,)


def test_bytes_stay_and_deltas_are_rewritten() -> None:
    decoder = RewritingDecoder(Script(), Loud())
    assert [*decoder.feed(b"a b"), *decoder.end()] == [
        Reading(b"a", (Text("A"),)),
        Reading(b"b", (Text("B"),)),
        Reading(b"end", (Finished("stop"), Closed())),
    ]


def test_rewriters_follow_each_other() -> None:
    assert list(Chain([Loud(), Twice()]).feed([Text("a"), Closed()])) == [Text("A"), Text("A"), Closed()]
    assert list(Chain([]).feed([Text("a")])) == [Text("a")]


def test_an_error_of_the_decoder_comes_after_what_was_said_before() -> None:
    readings = RewritingDecoder(Script(), Loud()).feed(b"a break b")
    assert next(readings) == Reading(b"a", (Text("A"),))
    with pytest.raises(GatewayError, match="it broke"):
        next(readings)


def test_what_was_told_before_the_rewriter_fails_is_told() -> None:
    readings = RewritingDecoder(Script(), Loud()).feed(b"a no b")
    assert [next(readings), next(readings)] == [Reading(b"a", (Text("A"),)), Reading(b"no", (Text("N"),))]
    with pytest.raises(GatewayError, match="it said no"):
        next(readings)


def test_a_reply_that_was_cut_stays_cut() -> None:
    """Nobody invents an end: whether one came is for the assembler to say."""
    whole = Chain([Calls("1f", frozenset({"dice"})), Cut(["END"]), Json(None)])
    deltas = list(whole.feed([Text('{"a":1}'), Text("<call-1f>{"), Closed()]))
    assert deltas == [Closed()]


OTHERS: list[Delta] = [
    Opened("r", "m"), Thinking("<call-1f>END"), Metered(Usage(1)), Anchored("c", "m"), Finished("stop"), Closed(),
]  # fmt: skip


@given(st.lists(st.sampled_from(OTHERS), max_size=6))
def test_what_is_no_text_passes_every_rewriter(deltas: list[Delta]) -> None:
    assert list(Chain([Calls("1f", frozenset()), Cut(["END"])]).feed(deltas)) == deltas


spans = st.lists(st.tuples(st.booleans(), st.integers(1, 4)), max_size=6)


@given(spans, st.integers(0, 12), st.integers(0, 6))
def test_a_citation_stays_with_its_text(parts: list[tuple[bool, int]], start: int, length: int) -> None:
    text = "abcdefghijklmnopqrstuvwxyz"
    citations = Citations()
    citations.hold(Cited("u", "t", start, start + length))
    told, at = "", 0
    for is_told, size in parts:
        if is_told:
            citations.told(size)
            told += text[at : at + size]
        else:
            citations.left_out(size)
        at += size
    for cited in citations.ripe():
        assert told[cited.start : cited.end] == text[start : start + length]


def test_a_citation_waits_for_its_text() -> None:
    citations = Citations()
    citations.hold(Cited("u", "t", 1, 4))
    citations.told(3)
    assert list(citations.ripe()) == []
    citations.told(1)
    assert list(citations.ripe()) == [Cited("u", "t", 1, 4)]
    assert list(citations.ripe()) == []
