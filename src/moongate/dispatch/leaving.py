"""What is left to do at an upstream when a reply is over, or nobody listens to it any more."""

from collections.abc import Iterator
from functools import partial

from moongate.core.tally import Tally
from moongate.core.turn import Turn
from moongate.pool.errands import Errand
from moongate.upstreams.upstream import Remembers, Upstream


def left_to_do(upstream: Upstream, turn: Turn, tally: Tally) -> Iterator[tuple[str, Errand]]:
    """A reply that did not come to its end goes on there until it is stopped; a chat that nobody will continue is
    deleted: one of a request that belongs to no conversation, one that was begun for a turn that failed, and one in
    which such a turn cannot be taken back."""
    left = tally.anchored
    if left is None or not isinstance(upstream, Remembers):
        return
    is_whole = tally.reason is not None
    if not is_whole and left.message:
        yield "stop", partial(upstream.stop, left.chat, left.message)
    anchor = turn.anchor
    goes_on = anchor is not None and anchor.chat == left.chat and bool(anchor.message)
    if not turn.is_kept or not (is_whole or goes_on):
        yield "forget", partial(upstream.forget, left.chat)
