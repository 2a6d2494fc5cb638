"""An account at a server that speaks OpenAI chat over REST and SSE and takes a bearer key.

What one such server differs in from another is data: where it is, what it accepts, how it refuses. The folders beside
this file say so for each.
"""

import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial

from msgspec import Raw, Struct

from moongate.core.abilities import Abilities
from moongate.core.errors import GatewayError, Kind
from moongate.core.request import ChatRequest
from moongate.core.route import ListedModel, Route
from moongate.core.sealed import Sealed
from moongate.core.standing import Standing
from moongate.core.turn import Turn
from moongate.dialects.openai_chat import client
from moongate.dialects.openai_chat.schema import DIALECT
from moongate.upstreams import listing, refusals
from moongate.upstreams.contract import Contract, fit
from moongate.upstreams.upstream import Opening
from moongate.wire.http import Flow, HttpCall, HttpHead
from moongate.wire.patch import fields, members, patch


class StandingCall(Struct, frozen=True):
    """How the vendor is asked for an account's standing: the path after the base URL, and who reads the answer (at a
    moment in seconds since 1970)."""

    path: str
    read: Callable[[bytes, float], Standing]


class ChatApi(Struct, frozen=True):
    """`base_url` is what stands before `/chat/completions` and `/models`. `truth`: how it tells of balance or quota.
    `groups`: patterns of models, and the name of the quota they share; the first that fits wins."""

    name: str
    base_url: str
    user_agent: str
    contracts: tuple[Contract, ...]
    refusals: tuple[refusals.Row, ...]
    truth: StandingCall | None = None
    groups: tuple[tuple[str, str], ...] = ()

    def abilities(self, model: str, dialect: str) -> Abilities | None:
        return None  # it is asked in the very dialect

    def open(self, turn: Turn, route: Route, credential: Sealed) -> Flow[Opening]:
        yield from ()  # nothing has to precede the call
        ask = turn.ask
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

    def standing(self, credential: Sealed) -> Flow[Standing | None]:
        if self.truth is None:
            return None
        headers = {**self._headers(credential), "accept": "application/json"}
        reply = yield HttpCall("GET", f"{self.base_url}{self.truth.path}", headers)
        if reply.head.status in (404, 405):  # a proxy or a stand-in that serves models and knows of no accounts
            return None
        if reply.head.status != 200:
            raise self._explain(credential, reply.head, reply.body)
        return self.truth.read(reply.body, time.time())

    def group(self, model: str) -> str:
        return next((name for pattern, name in self.groups if fnmatchcase(model, pattern)), "all")

    def _explain(self, credential: Sealed, head: HttpHead, body: bytes) -> GatewayError:
        error = refusals.explain(self.refusals, head, body, credential.reveal())
        if error.kind is Kind.MISDIRECTED:
            message = f"{error.message}: {self.base_url} was asked"
            return GatewayError(error.kind, message, upstream_status=error.upstream_status)
        return error

    def _headers(self, credential: Sealed) -> dict[str, str]:
        key = credential.reveal()
        return {
            **({"authorization": f"Bearer {key}"} if key else {}),
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
