"""An answer ends where its first stop word begins, however it arrives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.bridges.stop_as_cut import LONGEST, MOST, Cut, stop_words
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Anchored, Cited, Closed, Delta, Finished, Metered, Text, Thinking, ToolCall, Usage


def cut(stops: list[str], *deltas: Delta) -> list[Delta]:
    return list(Cut(stops).feed(deltas))


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, Text))


@pytest.mark.parametrize(
    ("stops", "parts", "told"),
    [
        (["END"], ["one END two"], "one "),
        (["END"], ["one E", "N", "D two"], "one "),
        (["END"], ["one EN", "TER"], "one ENTER"),
        (["END"], ["one EN"], "one EN"),
        (["\n", "END"], ["one END\n"], "one "),
        (["bcd", "c"], ["ab", "cd"], "ab"),
        (["bcd", "c"], ["abcd"], "ab"),
        (["c", "bc"], ["abc"], "a"),
        (["aab"], ["aaaab"], "aa"),
        (["x"], ["x"], ""),
        (["月"], ["🌙月"], "🌙"),
    ],
)
def test_an_answer_is_told_up_to_the_first_stop_word(stops: list[str], parts: list[str], told: str) -> None:
    assert text_of(cut(stops, *map(Text, parts), Finished("length"))) == told


letters = st.text(alphabet="abc", max_size=20)


@given(st.lists(st.text(alphabet="abc", min_size=1, max_size=4), min_size=1, max_size=3), letters, st.data())
def test_how_it_is_cut_into_pieces_does_not_matter(stops: list[str], text: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text)))
    told = text_of(cut(stops, Text(text[:place]), Text(text[place:]), Finished("stop")))
    assert told == text_of(cut(stops, Text(text), Finished("stop")))
    assert told == text_of(cut(stops, *map(Text, text), Finished("stop")))
    assert not any(stop in told for stop in stops)
    assert text.startswith(told)
    assert told == text or any(stop in text for stop in stops)


def test_what_comes_after_is_dropped_except_for_thinking_and_the_books() -> None:
    call = ToolCall(0, "{}", "call_0", "dice")
    kept: list[Delta] = [Thinking("hm"), Metered(Usage(1, 2)), Anchored("c", "m")]
    told = cut(["."], Text("A. B"), Text("C"), call, *kept, Finished("length"), Closed())
    assert told == [Text("A"), *kept, Finished("stop"), Closed()]


def test_a_call_before_the_cut_is_still_what_it_ends_with() -> None:
    call = ToolCall(0, "{}", "call_0", "dice")
    assert cut(["END"], Text("so E"), call, Text("END"), Finished("tool_calls")) == [
        Text("so "),
        Text("E"),
        call,
        Finished("tool_calls"),
    ]


@pytest.mark.parametrize("last", [Finished("length"), Closed()])
def test_what_only_looked_like_a_stop_word_is_told(last: Delta) -> None:
    assert cut(["END"], Text("TH"), Text("E"), last) == [Text("TH"), Text("E"), last]


def test_citations_of_what_is_not_told_are_dropped() -> None:
    early, across, late = Cited("u", "t", 0, 2), Cited("u", "t", 2, 5), Cited("u", "t", 6, 7)
    assert cut(["."], Text("ab"), early, late, across, Text("c. defg"), late, Finished("stop")) == [
        Text("ab"),
        early,
        Text("c"),
        Finished("stop"),
    ]


def test_stop_words_are_those_that_say_something() -> None:
    assert stop_words(["", "a", "b"]) == ("a", "b")
    assert stop_words([]) == ()


@pytest.mark.parametrize("words", [["a" * (LONGEST + 1)], ["a"] * (MOST + 1)])
def test_too_much_to_look_for_is_refused(words: list[str]) -> None:
    with pytest.raises(GatewayError) as caught:
        stop_words(words)
    assert (caught.value.kind, caught.value.param) == (Kind.INVALID_REQUEST, "stop")
