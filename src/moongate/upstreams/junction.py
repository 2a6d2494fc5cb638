"""Two transports behind one: most calls go by the usual one, those to certain places by another."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from moongate.upstreams.driver import Incoming, Transport
from moongate.wire.http import HttpCall, HttpReply


class Junction:
    """`others`: by what the addresses begin with that they serve."""

    def __init__(self, usual: Transport, others: Mapping[str, Transport]) -> None:
        self._usual = usual
        self._others = others

    async def fetch(self, call: HttpCall) -> HttpReply:
        """Raises GatewayError."""
        return await self._way(call).fetch(call)

    def stream(self, call: HttpCall) -> AbstractAsyncContextManager[Incoming]:
        return self._way(call).stream(call)

    def _way(self, call: HttpCall) -> Transport:
        return next((other for base, other in self._others.items() if call.url.startswith(f"{base}/")), self._usual)
