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
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.core.tally import Tally
from moongate.core.turn import Turn
from moongate.dispatch.fitting import fitted
from moongate.dispatch.leaving import left_to_do
from moongate.dispatch.search import Search
from moongate.dispatch.speaking import Speaking, until_first_word, until_the_end
from moongate.pool.account import Account
from moongate.pool.affinity import STRANGER, Session
from moongate.pool.errands import Errands
from moongate.pool.pool import Lease, Pool
from moongate.upstreams.driver import Deadlines, Transport, converse, out_of_time, prepare

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
    def __init__(self, pool: Pool, transport: Transport, patience: Patience, errands: Errands | None = None) -> None:
        """`errands` do what is left to do after a reply."""
        self._pool = pool
        self._transport = transport
        self._patience = patience
        self._errands = errands or Errands(transport)

    @property
    def has_choice(self) -> bool:
        """Whether there is more than one account to choose from."""
        return len(self._pool) > 1

    @asynccontextmanager
    async def __call__(
        self,
        turn: Turn,
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
        tokens = estimate.asked(turn.ask.origin.body)
        search = Search(turn, routes, own, session, whole, exchange, _now() + self._patience.total, tokens)
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
        turn, deadlines = search.turn_at(lease.account), self._deadlines(search, lease)
        credential = lease.account.credential
        token = await _in_time(credential.token(), deadlines)
        is_renewed = False
        while True:
            try:
                return await borrowed.enter_async_context(self._asked(lease, search, turn, token, deadlines))
            except GatewayError as error:
                if error.kind is Kind.CHAT_GONE and turn.anchor is not None:
                    turn = turn.anew()
                elif error.kind is Kind.CREDENTIAL_REFUSED and not is_renewed:
                    another = await _in_time(credential.renewed(token), deadlines)
                    if another is None:
                        raise
                    token, is_renewed = another, True
                else:
                    raise
            deadlines = self._deadlines(search, lease)

    @asynccontextmanager
    async def _asked(
        self, lease: Lease, search: Search, turn: Turn, token: Sealed, deadlines: Deadlines
    ) -> AsyncIterator[Speaking]:
        """The reply to asking the account once. Leaving the block ends the connection it comes by."""
        tally = Tally(turn.ask.origin.body)
        try:
            async with AsyncExitStack() as connection:
                with search.attempt(lease, tally):
                    upstream, way = lease.account.upstream, self._transport
                    told = fitted(turn, lease.route, upstream)
                    opening = await prepare(upstream, told.turn, lease.route, token, way, deadlines)
                    tally.anchored = None if turn.anchor else opening.anchored  # nothing is left yet where it was known
                    spoken = await connection.enter_async_context(
                        converse(opening, way, deadlines, rewriting=told.rewriting)
                    )
                    packets = await until_first_word(spoken.packets, tally)
                    lease.spoke()
                    if search.whole:
                        packets += await until_the_end(spoken.packets, tally)
                search.began(lease, spoken, told.notes)
                rest = None if search.whole else spoken.packets
                streamed, pace = spoken.streamed, opening.pace
                yield Speaking(opening.dialect, tally, streamed=streamed, held=packets, rest=rest, pace=pace)
        finally:
            search.left(turn, tally)
            self._leave(lease, turn, tally)

    def _leave(self, lease: Lease, turn: Turn, tally: Tally) -> None:
        errands = tuple(left_to_do(lease.account.upstream, turn, tally))
        task = self._errands.run(lease.account, *errands)
        if task is not None and tally.reason is None:
            self._pool.occupy(lease, task)

    def _deadlines(self, search: Search, lease: Lease) -> Deadlines:
        ask, patience = search.turn.ask, self._patience
        abilities = lease.account.upstream.abilities(lease.route.model, ask.origin.dialect)
        comes_whole = not ask.stream or (abilities is not None and abilities.answers_whole)
        first = patience.first_byte_whole if comes_whole else patience.first_byte_stream
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
    if account.is_callers and error.kind in (Kind.CREDENTIAL_REFUSED, Kind.LOGIN_EXPIRED):
        return GatewayError(error.kind, error.message, status=401, upstream_status=error.upstream_status)
    return error
