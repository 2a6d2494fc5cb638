"""Several transports behind one: most calls go by the usual one, those that name another by that."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from moongate.upstreams.driver import Incoming, Transport
from moongate.wire.http import HttpCall, HttpReply


class Junction:
    """`others`: by the names under which calls ask for them."""

    def __init__(self, usual: Transport, others: Mapping[str, Transport]) -> None:
        self._usual = usual
        self._others = others

    async def fetch(self, call: HttpCall) -> HttpReply:
        """Raises GatewayError."""
        return await self._way(call).fetch(call)

    def stream(self, call: HttpCall) -> AbstractAsyncContextManager[Incoming]:
        return self._way(call).stream(call)

    def _way(self, call: HttpCall) -> Transport:
        return self._others.get(call.via, self._usual)
