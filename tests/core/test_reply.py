"""A whole reply is the fold of the events it was told in."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.events import BlockDelta, BlockEnded, BlockStarted, Ended, Packet, Started, Usage
from moongate.core.reply import Block, Fold, Reply

EVENTS = (
    Started("id", "kimi-k3", 9),
    BlockStarted(0, "text"),
    BlockDelta(0, "text", "a"),
    BlockDelta(0, "text", "b"),
    BlockEnded(0, "text"),
    BlockStarted(1, "tool_call", "t0", "f"),
    BlockEnded(1, "tool_call"),
    Ended("tool_calls", Usage(1, 2)),
)


@given(st.lists(st.integers(0, len(EVENTS)), max_size=5))
def test_how_events_are_packed_does_not_matter(places: list[int]) -> None:
    edges = [0, *sorted(places), len(EVENTS)]
    fold = Fold()
    for number, (a, b) in enumerate(pairwise(edges)):
        fold.add(Packet(b"%d" % number, EVENTS[a:b]))
    blocks = (Block("text", "ab"), Block("tool_call", "", "t0", "f"))
    raw = b"".join(b"%d" % number for number in range(len(edges) - 1))
    assert fold.whole() == Reply("id", "kimi-k3", 9, blocks, "tool_calls", Usage(1, 2), raw)


def test_half_a_reply_is_not_folded() -> None:
    fold = Fold()
    fold.add(Packet(b"", EVENTS[:-1]))
    with pytest.raises(ValueError, match="before it had ended"):
        fold.whole()
