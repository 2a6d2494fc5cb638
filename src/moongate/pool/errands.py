"""What is still to be done at an upstream when nobody waits for it: a reply to be stopped, a chat to be deleted.

Closing a connection does neither. So these calls outlive the request they follow from, each for a bounded time, and not
too many at once; one that fails is logged and costs nobody anything but a chat that lies about.
"""

import asyncio
from collections.abc import Callable

import structlog

from moongate.core.errors import GatewayError
from moongate.core.sealed import Sealed
from moongate.pool.account import Account
from moongate.pool.calls import ask
from moongate.upstreams.driver import Transport
from moongate.wire.http import Flow

LONGEST = 20.0
"""Seconds one errand may take."""

MOST = 500
"""Errands under way; what comes beyond is not run."""

_log = structlog.get_logger()

Errand = Callable[[Sealed], Flow[None]]


class Errands:
    """To be closed."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._under_way: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._under_way)

    def run(self, account: Account, *errands: tuple[str, Errand]) -> asyncio.Task[None] | None:
        """One after the other, without waiting for them; each with a name for the log. None where too many are under
        way."""
        if not errands:
            return None
        if len(self._under_way) >= MOST:
            _log.warning("errand left undone", account=account.name, errands=[name for name, _ in errands])
            return None
        task = asyncio.create_task(self._run(account, errands))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def close(self, within: float = 5.0) -> None:
        """What is under way may end for so many seconds."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=within)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(self, account: Account, errands: tuple[tuple[str, Errand], ...]) -> None:
        for name, errand in errands:
            try:
                async with asyncio.timeout(LONGEST):
                    await ask(account, errand, self._transport)
            except (GatewayError, TimeoutError) as error:
                reason = error.message if isinstance(error, GatewayError) else f"not done within {LONGEST:g} seconds"
                _log.warning("errand failed", account=account.name, errand=name, reason=reason)
