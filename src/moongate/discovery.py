"""Asks each account's upstream which models it serves, and tells the catalogue.

Asked at start and when somebody needs to know and the last answer is old; one round at a time, each account for
itself, so that one that is down hides nothing of the others.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog

from moongate.catalog import Catalog
from moongate.core.errors import GatewayError, Kind
from moongate.core.route import ListedModel, Route
from moongate.pool.account import Account
from moongate.pool.calls import ask
from moongate.pool.roster import Promise
from moongate.upstreams.driver import Transport

LISTS_KEEP = 600.0
"""Seconds a list is good for."""

STRANGE_NAME_ASKS_AFTER = 30.0
"""Seconds after which a name nobody knows is worth asking about anew: models appear."""

FAILURE_ASKS_AFTER = 15.0
"""Seconds after which it is worth asking again whether an account that failed is back."""

PATIENCE = 5.0
"""Seconds a caller waits for the upstreams' lists before being answered from what is known."""

_log = structlog.get_logger()


class Discovery:
    def __init__(
        self,
        catalog: Catalog,
        accounts: Iterable[Account],
        transport: Transport,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._accounts = tuple(accounts)
        self._transport = transport
        self._clock = clock
        self._asked_at = float("-inf")
        self._round: asyncio.Task[None] | None = None
        self._failed: set[str] = set()
        self._is_closed = False

    def start(self) -> None:
        """Begin a round, if none is under way, and do not wait for it."""
        if not self._is_closed and (self._round is None or self._round.done()):
            self._asked_at = self._clock()
            self._round = asyncio.create_task(self._ask_all())

    async def close(self) -> None:
        """No round from now on: who is still answered by this one knows what was known."""
        self._is_closed = True
        if self._round is not None:
            self._round.cancel()
            await asyncio.gather(self._round, return_exceptions=True)

    async def resolve(self, name: str, own: tuple[Account, ...]) -> tuple[Route, ...]:
        """The catalogue's answer; a name it does not know is asked for once more. Raises GatewayError."""
        try:
            return self._catalog.resolve(name, own)
        except GatewayError as error:
            if error.kind is not Kind.UNKNOWN_MODEL:
                raise
        await self._know(STRANGE_NAME_ASKS_AFTER)
        return self._catalog.resolve(name, own)

    async def models(self, own: tuple[Account, ...] = ()) -> tuple[ListedModel, ...]:
        await self._know(LISTS_KEEP)
        return self._catalog.models(own)

    async def model(self, name: str, own: tuple[Account, ...] = ()) -> ListedModel:
        """Raises GatewayError (UNKNOWN_MODEL)."""
        await self._know(LISTS_KEEP)
        return self._catalog.model(name, own)

    async def promises(self) -> Callable[[Account], Promise]:
        """What each account is known to have. Where all of them failed when they were last asked, they are asked anew
        before it is told; where some did, meanwhile."""
        if all(account.name in self._failed for account in self._accounts):
            await self._know(FAILURE_ASKS_AFTER)
        elif self._failed and self._clock() - self._asked_at > FAILURE_ASKS_AFTER:
            self.start()
        return lambda account: Promise(self._catalog.served_by(account), account.name in self._failed)

    async def _know(self, max_age: float) -> None:
        """Wait for the round under way, or for a new one if the last is older than `max_age`."""
        if self._clock() - self._asked_at > max_age:
            self.start()
        if self._round is not None:
            await asyncio.wait([self._round], timeout=PATIENCE)

    async def _ask_all(self) -> None:
        await asyncio.gather(*map(self._ask, self._accounts))

    async def _ask(self, account: Account) -> None:
        try:
            listed = await ask(account, account.upstream.models, self._transport)
        except GatewayError as error:
            self._failed.add(account.name)
            _log.warning("account failed", account=account.name, upstream=account.upstream.name, reason=error.message)
        else:
            self._failed.discard(account.name)
            self._catalog.learn(account, listed)
