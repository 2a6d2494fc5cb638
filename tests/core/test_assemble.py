"""Any deltas become the grammar or are refused; what cannot be told truthfully is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.assemble import Assembler
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import (
    BlockDelta,
    BlockEnded,
    BlockStarted,
    Closed,
    Delta,
    Ended,
    Event,
    Finished,
    Metered,
    Opened,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from scripted import assert_grammatical

words = st.text(min_size=1, max_size=5)
deltas = st.one_of(
    st.builds(Text, words),
    st.builds(Thinking, words),
    st.builds(ToolCall, st.integers(-1, 3), st.text(max_size=5), words, words),
    st.builds(Opened, words, words, st.integers(0, 9)),
    st.builds(Metered, st.builds(Usage, st.integers(0, 9))),
    st.builds(Finished, st.sampled_from(["stop", "length", "tool_calls", "filtered"])),
    st.just(Closed()),
)


def assembled(*said: Delta) -> list[Event]:
    assembler = Assembler()
    return [*assembler.feed(said), *assembler.end()]


def outcome(*said: Delta) -> list[Event] | Kind:
    try:
        return assembled(*said)
    except GatewayError as error:
        return error.kind


@given(st.lists(deltas, max_size=12))
def test_any_deltas_assemble_to_the_grammar_or_are_refused(said: list[Delta]) -> None:
    events = outcome(*said)
    if isinstance(events, Kind):
        assert events in (Kind.PROTOCOL, Kind.TRUNCATED)
    else:
        assert_grammatical(events)


@given(st.lists(deltas, max_size=12), st.data())
def test_how_deltas_are_grouped_does_not_matter(said: list[Delta], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(said)))
    assembler = Assembler()
    whole = outcome(*said)
    if isinstance(whole, Kind):
        with pytest.raises(GatewayError):
            [*assembler.feed(said[:at]), *assembler.feed(said[at:]), *assembler.end()]
    else:
        assert [*assembler.feed(said[:at]), *assembler.feed(said[at:]), *assembler.end()] == whole


@given(st.lists(deltas, max_size=12))
def test_no_word_is_lost_and_none_is_added(said: list[Delta]) -> None:
    events = outcome(*said)
    if isinstance(events, Kind):
        return
    ends = said.index(Closed()) if Closed() in said else len(said)
    told: dict[str, str] = {"text": "", "thinking": "", "tool_call": ""}
    for event in events:
        if isinstance(event, BlockDelta):
            told[event.kind] += event.text
    assert told["text"] == "".join(delta.text for delta in said[:ends] if isinstance(delta, Text))
    assert told["thinking"] == "".join(delta.text for delta in said[:ends] if isinstance(delta, Thinking))
    assert told["tool_call"] == "".join(delta.arguments for delta in said[:ends] if isinstance(delta, ToolCall))
    assert events[-1] == Ended(
        [delta.reason for delta in said[:ends] if isinstance(delta, Finished)][-1],
        next((delta.usage for delta in reversed(said[:ends]) if isinstance(delta, Metered)), None),
    )


def test_a_reply_is_told_in_blocks_of_one_kind() -> None:
    usage = Usage(5, 7, 3, 2)
    told = assembled(
        Opened("id", "kimi-k3", 9),
        Thinking("hm"),
        Thinking("."),
        Text("so"),
        ToolCall(0, "", "t0", "weather"),
        ToolCall(0, "{"),
        ToolCall(0, "}"),
        ToolCall(1, "[]", "t1", "time"),
        Metered(usage),
        Finished("tool_calls"),
    )
    assert told == [
        Started("id", "kimi-k3", 9),
        BlockStarted(0, "thinking"),
        BlockDelta(0, "thinking", "hm"),
        BlockDelta(0, "thinking", "."),
        BlockEnded(0, "thinking"),
        BlockStarted(1, "text"),
        BlockDelta(1, "text", "so"),
        BlockEnded(1, "text"),
        BlockStarted(2, "tool_call", "t0", "weather"),
        BlockDelta(2, "tool_call", "{"),
        BlockDelta(2, "tool_call", "}"),
        BlockEnded(2, "tool_call"),
        BlockStarted(3, "tool_call", "t1", "time"),
        BlockDelta(3, "tool_call", "[]"),
        BlockEnded(3, "tool_call"),
        Ended("tool_calls", usage),
    ]


@pytest.mark.parametrize("end", [(), (Closed(),)])
def test_a_reply_without_a_reason_was_cut_short(end: tuple[Delta, ...]) -> None:
    with pytest.raises(GatewayError) as failure:
        assembled(Opened("i", "m"), Text("almost"), *end)
    assert failure.value.kind is Kind.TRUNCATED


def test_a_reply_without_a_terminator_is_whole() -> None:
    assert assembled(Text("all"), Finished("stop"))[-1] == Ended("stop")


@pytest.mark.parametrize("between", [Text("x"), Thinking("x"), ToolCall(1, "", "t1", "g")])
def test_a_closed_tool_call_cannot_resume(between: Delta) -> None:
    with pytest.raises(GatewayError) as failure:
        assembled(ToolCall(0, "{", "t0", "f"), between, ToolCall(0, "}"), Finished("tool_calls"))
    assert failure.value.kind is Kind.PROTOCOL


def test_two_tool_calls_under_one_index_are_not_run_together() -> None:
    told = outcome(ToolCall(0, "{}", "t0", "f"), ToolCall(0, "{}", "t1", "g"), Finished("tool_calls"))
    if isinstance(told, Kind):
        assert told is Kind.PROTOCOL
    else:
        assert [event.tool_id for event in told if isinstance(event, BlockStarted)] == ["t0", "t1"]


def test_a_tool_call_that_repeats_its_name_in_every_fragment_is_one_call() -> None:
    told = assembled(ToolCall(0, "{", "t0", "f"), ToolCall(0, "}", "t0", "f"), Finished("tool_calls"))
    assert [event for event in told if isinstance(event, BlockStarted)] == [BlockStarted(0, "tool_call", "t0", "f")]


def test_a_reply_has_one_beginning() -> None:
    told = assembled(Opened("a", "m", 1), Opened("b", "n", 2), Text("x"), Finished("stop"))
    assert [event for event in told if isinstance(event, Started)] == [Started("a", "m", 1)]


def test_nothing_is_told_after_the_end() -> None:
    assembler = Assembler()
    told = list(assembler.feed([Text("x"), Finished("stop"), Closed(), Text("y"), ToolCall(-1), Finished("length")]))
    assert told[-1] == Ended("stop")
    assert assembler.has_ended
    assert list(assembler.end()) == []


def test_unknown_usage_is_not_zero() -> None:
    assert assembled(Finished("stop"))[-1] == Ended("stop", None)
    assert assembled(Metered(Usage()), Finished("stop"))[-1] == Ended("stop", Usage())


def test_it_is_known_when_a_reply_is_complete() -> None:
    assembler = Assembler()
    list(assembler.feed([Text("x"), Metered(Usage(1))]))
    assert not assembler.is_complete
    list(assembler.feed([Finished("stop")]))
    assert assembler.is_complete
    assert not assembler.has_ended
