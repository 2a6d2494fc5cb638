"""Which account answers, and when it is too late to try another: after a reply's first word there is no going back.

What came before the word is held back and told in order once it is spoken. A reply that nobody hears before it is
complete is held back to its end, and so may be tried again to its end.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from msgspec import Struct

from moongate.core import estimate
from moongate.core.errors import GatewayError, Kind
from moongate.core.exchange import Exchange
from moongate.core.request import ChatRequest
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.core.tally import Tally
from moongate.dispatch.search import Search
from moongate.dispatch.speaking import Speaking, until_first_word, until_the_end
from moongate.pool.account import Account
from moongate.pool.affinity import STRANGER, Session
from moongate.pool.pool import Lease, Pool
from moongate.upstreams.driver import Deadlines, Transport, converse, out_of_time

T = TypeVar("T")


class Patience(Struct, frozen=True):
    """How long to wait and how often to try. Seconds; `retries` are further attempts, `queue` is for an account."""

    first_byte_stream: float
    first_byte_whole: float
    stall: float
    total: float
    retries: int
    queue: float = 0.0


class Dispatch:
    def __init__(self, pool: Pool, transport: Transport, patience: Patience) -> None:
        self._pool = pool
        self._transport = transport
        self._patience = patience

    @property
    def has_choice(self) -> bool:
        """Whether there is more than one account to choose from."""
        return len(self._pool) > 1

    @asynccontextmanager
    async def __call__(
        self,
        ask: ChatRequest,
        routes: Sequence[Route],
        own: tuple[Account, ...],
        exchange: Exchange,
        *,
        session: Session = STRANGER,
        whole: bool = False,
    ) -> AsyncIterator[Speaking]:
        """A reply that has said its first word, or with `whole` its last.

        Raises the GatewayError of the last attempt, or NO_ACCOUNT.
        """
        tokens = estimate.asked(ask.origin.body)
        search = Search(ask, routes, own, session, whole, exchange, _now() + self._patience.total, tokens)
        failure: GatewayError | None = None
        async with AsyncExitStack() as attempts:
            for remaining in reversed(range(self._patience.retries + 1)):
                try:
                    speaking = await attempts.enter_async_context(self._by_one_account(search))
                    break
                except GatewayError as error:
                    if error.kind is Kind.NO_ACCOUNT and failure:
                        raise _with_recovery(failure, error.retry_after) from None
                    if error.kind.retry == "never":
                        raise
                    if not remaining:
                        raise _with_recovery(error, self._pool.recovery(search.asking(0.0))) from None
                    failure = error
            yield speaking

    @asynccontextmanager
    async def _by_one_account(self, search: Search) -> AsyncIterator[Speaking]:
        async with AsyncExitStack() as borrowed:
            lease = await self._lease(borrowed, search)
            try:
                speaking = await self._speak(borrowed, lease, search)
            except GatewayError as error:
                search.refused(lease, error)
                raise _fair(error, lease.account) from error
            if search.whole:
                search.heard(lease, speaking.tally)
                await borrowed.aclose()  # the account has done its part
                yield speaking
                return
            try:
                yield speaking
            finally:
                search.heard(lease, speaking.tally)

    async def _lease(self, borrowed: AsyncExitStack, search: Search) -> Lease:
        began = _now()
        try:
            return await borrowed.enter_async_context(self._pool.lease(search.asking(self._patience.queue)))
        finally:
            search.exchange.waited += _now() - began

    async def _speak(self, borrowed: AsyncExitStack, lease: Lease, search: Search) -> Speaking:
        """The reply; a credential that is refused is renewed once, where it can be. Raises GatewayError."""
        deadlines = self._deadlines(search)
        credential = lease.account.credential
        token = await _in_time(credential.token(), deadlines)
        try:
            return await borrowed.enter_async_context(self._asked(lease, search, token, deadlines))
        except GatewayError as error:
            if error.kind is not Kind.CREDENTIAL_REFUSED:
                raise
            another = await _in_time(credential.renewed(token), deadlines)
            if another is None:
                raise
        return await borrowed.enter_async_context(self._asked(lease, search, another, self._deadlines(search)))

    @asynccontextmanager
    async def _asked(
        self, lease: Lease, search: Search, token: Sealed, deadlines: Deadlines
    ) -> AsyncIterator[Speaking]:
        """The reply to asking the account once. Leaving the block ends the connection it comes by."""
        tally = Tally(search.ask.origin.body)
        async with AsyncExitStack() as connection:
            with search.attempt(lease, tally):
                spoken = await connection.enter_async_context(
                    converse(lease.account.upstream, search.ask, lease.route, token, self._transport, deadlines)
                )
                packets = await until_first_word(spoken.packets, tally)
                lease.spoke()
                if search.whole:
                    packets += await until_the_end(spoken.packets, tally)
            search.began(lease, spoken)
            rest = None if search.whole else spoken.packets
            yield Speaking(spoken.opening.dialect, tally, streamed=spoken.streamed, held=packets, rest=rest)

    def _deadlines(self, search: Search) -> Deadlines:
        patience = self._patience
        first = patience.first_byte_stream if search.ask.stream else patience.first_byte_whole
        return Deadlines(_now() + first, patience.stall, search.end)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _in_time(work: Awaitable[T], deadlines: Deadlines) -> T:
    """A credential, which may have to be renewed first. Raises GatewayError (TIMED_OUT) and what `work` raises."""
    try:
        async with asyncio.timeout_at(min(deadlines.first_byte, deadlines.end)):
            return await work
    except TimeoutError as error:
        if deadlines.end < deadlines.first_byte:
            raise out_of_time() from error
        raise GatewayError(Kind.TIMED_OUT, "the account's login was not renewed in time") from error


def _with_recovery(failure: GatewayError, seconds: float | None) -> GatewayError:
    """What went wrong says more than that nobody else is left, and when somebody will be is worth telling with it."""
    if failure.retry_after is None and failure.status in (429, 503):
        failure.retry_after = seconds
    return failure


def _fair(error: GatewayError, account: Account) -> GatewayError:
    """A bad credential is our failure, unless the caller brought it."""
    if account.is_callers and error.kind is Kind.CREDENTIAL_REFUSED:
        return GatewayError(error.kind, error.message, status=401, upstream_status=error.upstream_status)
    return error
