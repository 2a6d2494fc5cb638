"""An account at a server that speaks OpenAI chat over REST and SSE and takes a bearer key.

What one such server differs in from another is data: where it is, what it accepts, how it refuses. The folders beside
this file say so for each.
"""

from functools import partial

from msgspec import Raw, Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.request import ChatRequest
from moongate.core.route import ListedModel, Route
from moongate.core.sealed import Sealed
from moongate.dialects.openai_chat import client
from moongate.dialects.openai_chat.schema import DIALECT
from moongate.upstreams import listing, refusals
from moongate.upstreams.contract import Contract, fit
from moongate.upstreams.upstream import Opening
from moongate.wire.http import Flow, HttpCall, HttpHead
from moongate.wire.patch import fields, members, patch


class ChatApi(Struct, frozen=True):
    """`base_url` is what stands before `/chat/completions` and `/models`."""

    name: str
    base_url: str
    user_agent: str
    contracts: tuple[Contract, ...]
    refusals: tuple[refusals.Row, ...]

    def open(self, ask: ChatRequest, route: Route, credential: Sealed) -> Flow[Opening]:
        yield from ()  # nothing has to precede the call
        try:
            asked = patch(ask.origin.body, _renamed(ask, route))
            fitted = fit(self.contracts, route.model, asked, ask.params)
        except RecursionError as error:  # how deep a body may be depends on how deep we stand; here it was too deep
            raise GatewayError(Kind.INVALID_REQUEST, "the body is nested too deeply") from error
        explain = partial(self._explain, credential)
        return Opening(
            call=HttpCall("POST", f"{self.base_url}/chat/completions", self._headers(credential), fitted.body),
            decoder=partial(client.decoder, explain=explain, choices=ask.choices),
            dialect=DIALECT,
            explain=explain,
            notes=fitted.notes,
        )

    def models(self, credential: Sealed) -> Flow[tuple[ListedModel, ...]]:
        reply = yield HttpCall("GET", f"{self.base_url}/models", self._headers(credential))
        if reply.head.status != 200:
            raise self._explain(credential, reply.head, reply.body)
        return listing.read(reply.body, self.name)

    def _explain(self, credential: Sealed, head: HttpHead, body: bytes) -> GatewayError:
        error = refusals.explain(self.refusals, head, body, credential.reveal())
        if error.kind is Kind.MISDIRECTED:
            message = f"{error.message}: {self.base_url} was asked"
            return GatewayError(error.kind, message, upstream_status=error.upstream_status)
        return error

    def _headers(self, credential: Sealed) -> dict[str, str]:
        return {
            "authorization": f"Bearer {credential.reveal()}",
            "content-type": "application/json",
            "accept-encoding": "identity",  # compressed events would be held back until a block is full
            "user-agent": self.user_agent,
        }


def _renamed(ask: ChatRequest, route: Route) -> dict[str, object]:
    """What the model's name here means there."""
    changes: dict[str, object] = {}
    if route.model != ask.model:
        changes["model"] = route.model
    if route.thinking:
        changes["thinking"] = _enabled(fields(ask.origin.body).get("thinking"))
    return changes


def _enabled(thinking: Raw | None) -> dict[str, object]:
    """Thinking switched on; whatever else the caller said about it, such as how hard, stays."""
    return {**(members(thinking) or {}), "type": "enabled"}
