"""What one web site was found to speak, and the models it was found to have: asked once for all its accounts."""

import time
from collections.abc import Callable
from typing import Literal, TypeAlias

from msgspec import Struct, structs

from moongate.core.errors import GatewayError
from moongate.upstreams.kimi_web.answers import is_absent, said
from moongate.upstreams.kimi_web.headers import Caller
from moongate.upstreams.kimi_web.models import Menu, read_menu
from moongate.upstreams.kimi_web.refusals import explain
from moongate.wire.http import Flow, HttpReply

Generation: TypeAlias = Literal["connect", "rest"]
"""The newer one (Connect-RPC, since 2025-09) and the older (REST and SSE)."""
Setting: TypeAlias = Literal["auto", "connect", "rest"]

MODELS = "apiv2/kimi.gateway.config.v1.ConfigService/GetAvailableModels"

GOOD_FOR = 3600.0
"""Seconds."""
GOOD_FOR_AFTER_FAILURE = 60.0

ABSENCES = 3
"""Looks in a row that found nothing, after which a site that was known to speak the newer generation is believed to do
so no more. One may be a page of somebody in front."""


class Found(Struct, frozen=True):
    """`menu`: None where it was not told. `until`: in seconds since 1970."""

    generation: Generation
    menu: Menu | None = None
    until: float = 0.0


class Site:
    """`clock` is in seconds since 1970. May be shared by flows that run at the same time: at worst they ask twice."""

    def __init__(self, setting: Setting = "auto", clock: Callable[[], float] = time.time) -> None:
        self._setting = setting
        self._clock = clock
        self._absences = 0
        self._found: Found | None = Found("rest", until=float("inf")) if setting == "rest" else None

    def look(self, caller: Caller) -> Flow[Found]:
        """What the site speaks and serves, asked where that is not known or was long ago.

        Raises GatewayError where nothing is known and the answer tells nothing.
        """
        if self._found is not None and self._clock() < self._found.until:
            return self._found
        reply = yield caller.rpc(MODELS, {})
        self._found = self._read(caller, reply)
        return self._found

    def _read(self, caller: Caller, reply: HttpReply) -> Found:
        """A failure does not unsay what was known."""
        now = self._clock()
        if reply.head.status == 200 and said(reply.body):
            self._absences = 0
            return Found("connect", read_menu(reply.body), now + GOOD_FOR)
        self._absences += is_absent(reply)
        is_new = self._found is None or self._found.generation == "rest"
        if self._setting == "auto" and is_absent(reply) and (is_new or self._absences >= ABSENCES):
            return Found("rest", until=now + GOOD_FOR)
        known = self._found or (Found("connect") if self._setting == "connect" else None)
        if known is None:
            raise _unknown(caller, reply)
        return structs.replace(known, until=now + GOOD_FOR_AFTER_FAILURE)


def _unknown(caller: Caller, reply: HttpReply) -> GatewayError:
    if reply.head.status == 200:
        return GatewayError.protocol("the site's list of models cannot be read")
    return explain(reply.head, reply.body, caller.token.reveal())
