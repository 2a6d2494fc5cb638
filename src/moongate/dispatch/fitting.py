"""A request made to fit the upstream that is about to be asked."""

from collections.abc import Callable

from msgspec import Struct, structs

from moongate.bridges.plan import plan
from moongate.bridges.rewriting import RewritingDecoder
from moongate.core.route import Route
from moongate.core.turn import Turn
from moongate.dialects.dialect import Decoder
from moongate.upstreams.upstream import Upstream


class Fitted(Struct, frozen=True):
    """`rewriting` undoes in the reply what was done to the request; `notes` say what that was."""

    turn: Turn
    rewriting: Callable[[Decoder], Decoder] | None = None
    notes: tuple[str, ...] = ()


def fitted(turn: Turn, route: Route, upstream: Upstream) -> Fitted:
    """The same turn where the upstream speaks the caller's dialect. Raises GatewayError for what cannot be made up."""
    abilities = upstream.abilities(route.model, turn.ask.origin.dialect)
    if abilities is None:
        return Fitted(turn)
    covered = turn.anchor.covers if turn.anchor else 0
    bridged = plan(turn.prompt(), abilities, covered=covered, params=turn.ask.params)
    rewriter = bridged.rewriter
    return Fitted(
        structs.replace(turn, prompt=lambda: bridged.prompt),
        None if rewriter is None else lambda inner: RewritingDecoder(inner, rewriter()),
        bridged.notes,
    )
