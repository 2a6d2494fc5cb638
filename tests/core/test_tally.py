"""What a reply costs: told, guessed, or not known, and never made up."""

import pytest

from moongate.core.errors import GatewayError
from moongate.core.events import BlockDelta, BlockStarted, Ended, Event, Packet, Usage
from moongate.core.tally import Cost, Tally

TOLD = Usage(100, 20)
SPOKE = (BlockStarted(0, "text"), BlockDelta(0, "text", "x" * 30))


def broken(usage: Usage | None = None) -> GatewayError:
    error = GatewayError.truncated()
    error.usage = usage
    return error


@pytest.mark.parametrize(
    ("events", "failure", "cost"),
    [
        ((), None, None),
        ((), broken(), None),
        ((), broken(TOLD), Cost(TOLD)),
        (SPOKE, None, Cost(Usage(100, 10), is_estimate=True)),
        (SPOKE, broken(), Cost(Usage(100, 10), is_estimate=True)),
        (SPOKE, broken(TOLD), Cost(TOLD)),
        ((*SPOKE, Ended("stop", TOLD)), None, Cost(TOLD)),
        ((*SPOKE, Ended("stop", TOLD)), broken(), Cost(TOLD)),
        ((*SPOKE, Ended("stop")), None, None),  # to its end, and nothing told: unknown is not zero
    ],
)
def test_what_was_told_counts_and_else_what_there_was_of_it(
    events: tuple[Event, ...], failure: GatewayError | None, cost: Cost | None
) -> None:
    tally = Tally(b"x" * 400)
    for event in events:
        tally.watch(Packet(b"", (event,)))
    assert tally.cost(failure) == cost
    assert tally.reason == ("stop" if any(isinstance(event, Ended) for event in events) else None)


def test_all_tokens_count() -> None:
    assert Cost(TOLD).tokens == 120
