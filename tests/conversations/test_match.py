"""What of a request a conversation knows already: only what is new is taken, whatever else is sent with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.conversations.match import Placed, _overlap, place
from moongate.conversations.normal import Line

ROLES = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


def lines(spelled: str) -> list[Line]:
    """`u1 a1` is what a user said and what was answered."""
    return [Line(ROLES[word[0]], word.encode()) for word in spelled.split()]


def goes_on(known: str, asked: str) -> str:
    ours, theirs = lines(known), lines(asked)
    placed = place(ours, theirs)
    history = [*theirs[: placed.lead], *ours[placed.skip : placed.kept], *theirs[placed.fresh :]]
    return " ".join(line.digest.decode() for line in history)


@pytest.mark.parametrize(
    ("known", "asked", "then"),
    [
        ("", "u1", "u1"),
        ("", "s1 u1", "s1 u1"),
        ("", "u1 a1 u2", "u1 a1 u2"),
        # Only what is new.
        ("u1 a1", "u2", "u1 a1 u2"),
        ("u1 a1", "u1", "u1 a1 u1"),
        ("s1 u1 a1", "u2", "s1 u1 a1 u2"),
        ("s1 u1 a1", "s1 u2", "s1 u1 a1 u2"),
        ("u1 a1", "t1 t2", "u1 a1 t1 t2"),
        ("u1 a1", "u2 u3", "u1 a1 u2 u3"),
        # The whole history, or the end of it.
        ("u1 a1", "u1 a1 u2", "u1 a1 u2"),
        ("s1 u1 a1 u2 a2", "s1 u1 a1 u2 a2 u3", "s1 u1 a1 u2 a2 u3"),
        ("s1 u1 a1", "u1 a1 u2", "s1 u1 a1 u2"),
        ("u1 a1 u2 a2", "u2 a2 u3", "u1 a1 u2 a2 u3"),
        ("u1 a1 u2 a2", "a2 u3", "u1 a1 u2 a2 u3"),
        ("s1 u1 a1 u2 a2", "s1 u2 a2 u3", "s1 u1 a1 u2 a2 u3"),
        # Edited: what the caller says of the past counts.
        ("u1 a1 u2 a2", "u1 a1 u9", "u1 a1 u9"),
        ("u1 a1 u2 a2", "u1 a1 u2", "u1 a1 u2"),
        ("u1 a1 u2 a2", "u1 a9 u2", "u1 a9 u2"),
        ("u1 a1", "u8 a8 u9", "u8 a8 u9"),
        # Another system prompt takes the place of the first.
        ("s1 u1 a1", "s2 u2", "s2 u1 a1 u2"),
        ("s1 u1 a1", "s2 u1 a1 u2", "s2 u1 a1 u2"),
        ("u1 a1", "s1 u2", "s1 u1 a1 u2"),
        ("s1 s2 u1 a1", "s1 u2", "s1 u1 a1 u2"),
    ],
)
def test_a_conversation_goes_on_with_what_is_new_and_says_nothing_twice(known: str, asked: str, then: str) -> None:
    assert goes_on(known, asked) == then


@pytest.mark.parametrize(
    ("known", "asked", "keeps"),
    [("u1 a1", "u2", True), ("s1 u1 a1", "s1 u2", True), ("s1 u1 a1", "s2 u2", False), ("u1 a1", "s1 u2", False)],
)
def test_what_an_upstream_remembers_holds_as_long_as_the_beginning_does(known: str, asked: str, keeps: bool) -> None:
    assert place(lines(known), lines(asked)).keeps_beginning is keeps


TALK = st.lists(st.sampled_from(["u1", "u2", "a1", "a2", "t1"]), max_size=8)


@given(known=TALK, asked=TALK.filter(bool))
def test_whoever_sends_all_that_was_said_adds_only_what_comes_after(known: list[str], asked: list[str]) -> None:
    history = ["u0", "a0", *known]
    resent = " ".join([*history, *asked])
    assert goes_on(" ".join(history), resent) == resent


@given(known=TALK, asked=TALK)
def test_the_last_words_of_a_request_are_the_last_of_the_conversation(known: list[str], asked: list[str]) -> None:
    then = goes_on(" ".join(known), " ".join([*asked, "u9"])).split()
    assert then[-1] == "u9"
    assert then.count("u9") == 1


@given(known=TALK, asked=TALK)
def test_the_longest_end_with_which_a_request_begins_is_found(known: list[str], asked: list[str]) -> None:
    ours, theirs = lines(" ".join(known)), lines(" ".join(asked))
    longest = min(len(ours), len(theirs))
    slowly = next((n for n in range(longest, 0, -1) if ours[-n:] == theirs[:n]), 0)
    assert _overlap(ours, theirs) == slowly


def test_long_histories_that_are_all_alike_are_placed() -> None:
    alike = lines("u1 " * 100_000)
    known, asked = [*lines("u2"), *alike, *lines("a1")], [*alike, *lines("a2 u3")]
    assert place(known, asked) == Placed(lead=0, skip=0, kept=0, fresh=0)


@given(known=TALK, asked=TALK)
def test_places_are_within_what_there_is(known: list[str], asked: list[str]) -> None:
    placed: Placed = place(lines(" ".join(known)), lines(" ".join(asked)))
    assert 0 <= placed.skip <= placed.kept <= len(known)
    assert 0 <= placed.lead <= placed.fresh <= len(asked)
