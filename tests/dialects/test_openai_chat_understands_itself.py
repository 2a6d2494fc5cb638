"""What the server half tells, the client half reads as the same events: for any reply, streamed and whole."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moongate.core.assemble import Assembler
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import (
    BlockDelta,
    BlockEnded,
    BlockKind,
    BlockStarted,
    Ended,
    Event,
    FinishReason,
    Packet,
    Started,
    Usage,
)
from moongate.core.reply import Fold
from moongate.dialects.dialect import Decoder, Echo
from moongate.dialects.openai_chat.client import StreamDecoder, WholeDecoder
from moongate.dialects.openai_chat.server import OpenAIChat
from moongate.wire.http import HttpHead
from scripted import asked, assert_grammatical, cut

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
pieces = st.lists(words, max_size=3)
reasons: st.SearchStrategy[FinishReason] = st.sampled_from(["stop", "length", "tool_calls", "filtered"])
counts = st.integers(0, 2**40)
usages = st.none() | st.builds(Usage, counts, counts, counts, counts)
heads = st.builds(Started, words, words, st.integers(1, 2**33))
kinds: st.SearchStrategy[BlockKind] = st.sampled_from(["text", "thinking", "tool_call"])
places = st.lists(st.integers(0, 10_000), max_size=8)


def block(index: int, kind: BlockKind, tool: tuple[str, str], texts: Sequence[str]) -> list[Event]:
    started = BlockStarted(index, kind, *tool) if kind == "tool_call" else BlockStarted(index, kind)
    return [started, *(BlockDelta(index, kind, text) for text in texts), BlockEnded(index, kind)]


@st.composite
def replies(draw: st.DrawFn, kinds: st.SearchStrategy[list[BlockKind]]) -> list[Event]:
    """Any reply the grammar allows. Blocks of text and thinking hold words, and two of a kind do not touch."""
    events: list[Event] = [draw(heads)]
    last, count = "", 0
    for kind in draw(kinds):
        if kind == last != "tool_call":
            continue
        texts = draw(pieces if kind == "tool_call" else st.lists(words, min_size=1, max_size=3))
        events += block(count, kind, (draw(words), draw(words)), texts)
        last, count = kind, count + 1
    return [*events, Ended(draw(reasons), draw(usages))]


streamed_replies = replies(st.lists(kinds, max_size=6))
whole_replies = replies(
    st.tuples(
        st.sampled_from([[], ["thinking"]]),
        st.sampled_from([[], ["text"]]),
        st.integers(0, 3).map(lambda n: ["tool_call"] * n),
    ).map(lambda parts: [kind for part in parts for kind in part])
)


def explain(head: HttpHead, body: bytes) -> GatewayError:
    return GatewayError(Kind.FAILED, body.decode())


def read(decoder: Decoder, parts: Sequence[bytes]) -> list[Packet]:
    assembler = Assembler()
    told = [
        Packet(reading.raw, tuple(assembler.feed(reading.deltas)))
        for source in (*(decoder.feed(part) for part in parts), decoder.end())
        for reading in source
    ]
    return [*told, Packet(b"", tuple(assembler.end()))]


def events_of(packets: Sequence[Packet]) -> list[Event]:
    return [event for packet in packets for event in packet.events]


@given(streamed_replies, st.integers(1, 5), places)
def test_a_stream_is_read_as_it_was_told(events: list[Event], packing: int, places: list[int]) -> None:
    assert_grammatical(events)
    encoder = OpenAIChat().encoder(asked())
    grouped = [events[i : i + packing] for i in range(0, len(events), packing)]
    wire = b"".join(encoder.encode(Packet(b"", tuple(group))) for group in grouped)
    assert events_of(read(StreamDecoder(explain), cut(wire, places))) == events


def test_without_include_usage_nothing_but_the_usage_is_missing() -> None:
    events: list[Event] = [Started("i", "m", 1), Ended("stop", Usage(1, 2, 3, 4))]
    wire = OpenAIChat().encoder(asked(include_usage=False)).encode(Packet(b"", tuple(events)))
    assert events_of(read(StreamDecoder(explain), [wire])) == [*events[:-1], Ended("stop")]


@given(whole_replies)
def test_a_whole_reply_is_read_as_it_was_told(events: list[Event]) -> None:
    fold = Fold()
    fold.add(Packet(b"", tuple(events)))
    wire = OpenAIChat().encoder(asked(stream=False)).whole(fold.whole())
    again = Fold()
    for packet in read(WholeDecoder(explain), [wire]):
        again.add(packet)
    assert again.whole().raw == wire
    told = fold.whole()
    reread = again.whole()
    assert (reread.id, reread.model, reread.created) == (told.id, told.model, told.created)
    assert (reread.blocks, reread.reason, reread.usage) == (told.blocks, told.reason, told.usage)


@given(streamed_replies, places)
def test_an_echo_is_byte_exact_however_the_bytes_arrive(events: list[Event], places: list[int]) -> None:
    wire = OpenAIChat().encoder(asked()).encode(Packet(b"", tuple(events)))
    echo = Echo(OpenAIChat().encoder(asked()))
    assert b"".join(echo.encode(packet) for packet in read(StreamDecoder(explain), cut(wire, places))) == wire


@settings(max_examples=50)
@given(streamed_replies, st.data())
def test_a_cut_stream_is_a_failure_or_the_same_answer(events: list[Event], data: st.DataObject) -> None:
    wire = OpenAIChat().encoder(asked()).encode(Packet(b"", tuple(events)))
    length = data.draw(st.integers(0, len(wire) - 1))
    try:
        packets = read(StreamDecoder(explain), [wire[:length]])
    except GatewayError as error:
        assert error.kind is Kind.TRUNCATED  # noqa: PT017
        return
    told = events_of(packets)
    assert told[:-1] == events[:-1]
    assert isinstance(told[-1], Ended)
    assert isinstance(events[-1], Ended)
    assert told[-1].reason == events[-1].reason
    assert told[-1].usage in (None, events[-1].usage)


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.code)
def test_an_error_told_in_a_stream_is_read_as_an_error(kind: Kind) -> None:
    wire = OpenAIChat().fail(GatewayError(kind, "because"))
    with pytest.raises(GatewayError, match="because"):
        read(StreamDecoder(explain), [wire])
