"""Which account answers, and when it is too late to try another: after a reply's first word there is no going back.

The first word, not the first byte: upstreams greet first and refuse afterwards, under the same HTTP 200. What came
before the word is held back and told in order once it is spoken, so a failed attempt leaves no trace in the answer. A
reply that nobody hears before it is complete is held back to its end, and so may be tried again to its end.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TypeVar

from msgspec import Struct, field, structs

from moongate.core import estimate
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import BlockStarted, Ended, Packet
from moongate.core.exchange import ABANDONED, Attempt, Exchange
from moongate.core.request import ChatRequest
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.core.tally import Cost, Tally
from moongate.pool.account import Account
from moongate.pool.affinity import STRANGER, Session
from moongate.pool.pool import Asking, Lease, Pool
from moongate.upstreams.driver import Deadlines, Transport, converse, out_of_time

T = TypeVar("T")

UPSTREAM_IDS = ("x-trace-id", "msh-request-id", "x-request-id")
"""Headers in which vendors name a request, for their support."""

PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds before the same account is tried again, doubled each time up to the longest."""


HELD_LIMIT = 256 * 1024 * 1024
"""Bytes of a reply that is held back to its end."""

TICK = 0.1
"""Seconds by which a wait outlasts what it waits for: timers are not exact."""


class Patience(Struct, frozen=True):
    """How long to wait and how often to try. Seconds; `retries` are further attempts, `queue` is for an account."""

    first_byte_stream: float
    first_byte_whole: float
    stall: float
    total: float
    retries: int
    queue: float = 0.0


class Speaking:
    """A reply that has begun: it will be delivered to the caller or fail in front of them."""

    def __init__(
        self,
        dialect: str,
        tally: Tally,
        *,
        streamed: bool,
        held: Sequence[Packet],
        rest: AsyncIterator[Packet] | None = None,
    ) -> None:
        self.dialect = dialect
        self.tally = tally
        self.streamed = streamed
        self._held = iter(held)
        self._rest = rest

    def __aiter__(self) -> "Speaking":
        return self

    async def __anext__(self) -> Packet:
        for packet in self._held:
            return packet
        if self._rest is None:
            raise StopAsyncIteration
        packet = await anext(self._rest)
        self.tally.watch(packet)
        return packet


class Search(Struct):
    """One request on its way to an account: which ways it may go, where it may not go before which moment, and until
    when (loop's clock). `whole`: its reply is held back until it is complete."""

    ask: ChatRequest
    routes: Sequence[Route]
    own: tuple[Account, ...]
    session: Session
    whole: bool
    exchange: Exchange
    end: float
    tokens: int
    avoid: dict[tuple[str, Route], float] = field(default_factory=dict)
    again: float = -math.inf
    """The end of the pause before the same account may be tried again."""

    def asking(self, wait: float) -> Asking:
        return Asking(
            routes=self.routes,
            own=self.own,
            avoid=self.avoid,
            lane=_lane(self.exchange),
            session=self.session,
            tokens=self.tokens,
            wait_until=min(max(_now() + wait, self.again + TICK), self.end),
        )

    def refused(self, lease: Lease, error: GatewayError) -> None:
        """Not there again, or not at once: another account comes first where there is one."""
        match error.kind.retry:
            case "elsewhere":
                self.avoid[lease.account.name, lease.route] = math.inf
            case "same":
                pause = min(PAUSE * 2 ** min(len(self.exchange.attempts) - 1, 10), LONGEST_PAUSE)
                now = _now()
                self.again = now + pause
                self.avoid[lease.account.name, lease.route] = max(self.again, now + (error.retry_after or 0.0))
            case "never":
                pass

    @contextmanager
    def attempt(self, lease: Lease, tally: Tally) -> Iterator[None]:
        """Takes down what is done with the account, unless nothing of it left the house."""
        began = time.monotonic()
        try:
            yield
        except GatewayError as error:
            if error.kind.origin != "caller":
                self._note(lease, began, tally.cost(error), error.kind.code, error.upstream_status)
            raise
        except asyncio.CancelledError:
            self._note(lease, began, tally.cost(), ABANDONED)
            raise
        self._note(lease, began)

    def _note(
        self, lease: Lease, began: float, cost: Cost | None = None, error: str = "", status: int | None = None
    ) -> None:
        seconds = time.monotonic() - began
        self.exchange.attempts.append(Attempt(lease.account.name, str(_shown(lease)), seconds, error, status, cost))
        _settle(lease, cost)

    def heard(self, lease: Lease, tally: Tally) -> None:
        """The reply is over, whether it came to its end, broke, or was no longer listened to."""
        exchange = self.exchange
        exchange.cost, exchange.reason = tally.cost(exchange.failure), tally.reason
        _settle(lease, exchange.cost)


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
        async with AsyncExitStack() as held:
            for remaining in reversed(range(self._patience.retries + 1)):
                try:
                    speaking = await held.enter_async_context(self._attempt(search))
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
    async def _attempt(self, search: Search) -> AsyncIterator[Speaking]:
        async with AsyncExitStack() as held:
            lease = await self._lease(held, search)
            try:
                speaking = await self._speak(held, lease, search)
            except GatewayError as error:
                search.refused(lease, error)
                raise _fair(error, lease.account) from error
            if search.whole:
                await held.aclose()  # the account has done its part
            try:
                yield speaking
            finally:
                search.heard(lease, speaking.tally)

    async def _lease(self, held: AsyncExitStack, search: Search) -> Lease:
        began = _now()
        try:
            return await held.enter_async_context(self._pool.lease(search.asking(self._patience.queue)))
        finally:
            search.exchange.waited += _now() - began

    async def _speak(self, held: AsyncExitStack, lease: Lease, search: Search) -> Speaking:
        """The reply; a credential that is refused is renewed once, where it can be. Raises GatewayError."""
        deadlines = self._deadlines(search)
        credential = lease.account.credential
        token = await _in_time(credential.token(), deadlines)
        try:
            return await self._converse(held, lease, search, token, deadlines)
        except GatewayError as error:
            if error.kind is not Kind.CREDENTIAL_REFUSED:
                raise
            another = await _in_time(credential.renewed(token), deadlines)
            if another is None:
                raise
        return await self._converse(held, lease, search, another, self._deadlines(search))

    async def _converse(
        self, held: AsyncExitStack, lease: Lease, search: Search, token: Sealed, deadlines: Deadlines
    ) -> Speaking:
        account, exchange, tally = lease.account, search.exchange, Tally(search.ask.origin.body)
        with search.attempt(lease, tally):
            spoken = await held.enter_async_context(
                converse(account.upstream, search.ask, lease.route, token, self._transport, deadlines)
            )
            opening = await _until_first_word(spoken.packets, tally)
            lease.spoke()
            if search.whole:
                await _hold(opening, spoken.packets, tally)
        if search.whole:
            _settle(lease, tally.cost())
        exchange.route, exchange.account = _shown(lease), account.name
        exchange.notes += [note for note in (lease.route.note, *spoken.opening.notes) if note]
        exchange.upstream_id = _upstream_id(spoken.head.headers)
        rest = None if search.whole else spoken.packets
        return Speaking(spoken.opening.dialect, tally, streamed=spoken.streamed, held=opening, rest=rest)

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


async def _until_first_word(packets: AsyncIterator[Packet], tally: Tally) -> list[Packet]:
    held = []
    async for packet in packets:
        held.append(packet)
        tally.watch(packet)
        if any(isinstance(event, BlockStarted | Ended) for event in packet.events):
            break
    return held


async def _hold(held: list[Packet], rest: AsyncIterator[Packet], tally: Tally) -> None:
    """All of a reply. Raises GatewayError (PROTOCOL) for one that is too large to be held."""
    size = 0
    async for packet in rest:
        held.append(packet)
        tally.watch(packet)
        size += len(packet.raw)
        if size > HELD_LIMIT:
            raise GatewayError.protocol(f"the reply is larger than {HELD_LIMIT} bytes, and was to be held back whole")


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


def _shown(lease: Lease) -> Route:
    """The way it really went: a route may name an account, or a kind of them."""
    return structs.replace(lease.route, upstream=lease.account.upstream.name)


def _lane(exchange: Exchange) -> str:
    """Whom to be fair to: a key, or where nobody has one the address they ask from."""
    caller = exchange.caller
    return exchange.client if caller is None or caller.kind == "anonymous" else caller.name


def _settle(lease: Lease, cost: Cost | None) -> None:
    if cost is not None:
        lease.spent = cost.tokens


def _upstream_id(headers: Mapping[str, str]) -> str:
    return next((headers[name][:128] for name in UPSTREAM_IDS if name in headers), "")
