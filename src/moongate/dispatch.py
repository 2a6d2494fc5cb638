"""Which account answers, and when it is too late to try another: after a reply's first word there is no going back.

The first word, not the first byte: upstreams greet first and refuse afterwards, under the same HTTP 200. What came
before the word is held back and told in order once it is spoken, so a failed attempt leaves no trace in the answer.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias

from msgspec import Struct, field

from moongate.core.errors import GatewayError, Kind
from moongate.core.events import BlockStarted, Ended, Packet
from moongate.core.exchange import Attempt, Exchange
from moongate.core.request import ChatRequest
from moongate.core.route import Route
from moongate.pool.account import Account
from moongate.pool.pool import Pool
from moongate.upstreams.driver import Deadlines, Transport, converse

UPSTREAM_IDS = ("x-trace-id", "msh-request-id", "x-request-id")
"""Headers in which vendors name a request, for their support."""

PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds before the same is tried again, doubled each time up to the longest."""


class Patience(Struct, frozen=True):
    """How long to wait and how often to try. Seconds; `retries` are further attempts."""

    first_byte_stream: float
    first_byte_whole: float
    stall: float
    total: float
    retries: int


Tried: TypeAlias = tuple[str, Route]
"""An account's name and the route for which it has been refused: a plan may lack one model and have another."""


class Speaking:
    """A reply that has begun: it will be delivered to the caller or fail in front of them."""

    def __init__(self, dialect: str, *, streamed: bool, held: Sequence[Packet], rest: AsyncIterator[Packet]) -> None:
        self.dialect = dialect
        self.streamed = streamed
        self._held = iter(held)
        self._rest = rest

    def __aiter__(self) -> "Speaking":
        return self

    async def __anext__(self) -> Packet:
        for packet in self._held:
            return packet
        return await anext(self._rest)


class Search(Struct):
    """One request on its way to an account: which ways it may go, which it has tried, and until when (loop's clock)."""

    ask: ChatRequest
    routes: Sequence[Route]
    own: tuple[Account, ...]
    exchange: Exchange
    end: float
    tried: set[Tried] = field(default_factory=set)

    def avoiding(self, route: Route) -> set[str]:
        return {name for name, refused in self.tried if refused == route}


class Dispatch:
    def __init__(self, pool: Pool, transport: Transport, patience: Patience) -> None:
        self._pool = pool
        self._transport = transport
        self._patience = patience

    @asynccontextmanager
    async def __call__(
        self, ask: ChatRequest, routes: Sequence[Route], own: tuple[Account, ...], exchange: Exchange
    ) -> AsyncIterator[Speaking]:
        """A reply that has said its first word. Raises the GatewayError of the last attempt, or NO_ACCOUNT."""
        search = Search(ask, routes, own, exchange, _now() + self._patience.total)
        failure: GatewayError | None = None
        async with AsyncExitStack() as held:
            for remaining in reversed(range(self._patience.retries + 1)):
                try:
                    speaking = await held.enter_async_context(self._attempt(search))
                    break
                except GatewayError as error:
                    if error.kind is Kind.NO_ACCOUNT and failure:
                        raise failure from None  # what went wrong says more than that nobody else is left
                    if error.kind.retry == "never" or not remaining:
                        raise
                    failure = error
                await _pause(failure, search)
            yield speaking

    @asynccontextmanager
    async def _attempt(self, search: Search) -> AsyncIterator[Speaking]:
        ask, exchange = search.ask, search.exchange
        async with AsyncExitStack() as held:
            account, route = await self._lease(held, search)
            began = time.monotonic()

            def attempted(error: GatewayError | None = None) -> Attempt:
                code, status = (error.kind.code, error.upstream_status) if error else ("", None)
                return Attempt(account.name, str(route), time.monotonic() - began, code, status)

            try:
                spoken = await held.enter_async_context(
                    converse(account.upstream, ask, route, account.credential, self._transport, self._deadlines(search))
                )
                opening = await _until_first_word(spoken.packets)
            except GatewayError as error:
                if error.kind.origin != "caller":  # else nothing was asked
                    exchange.attempts.append(attempted(error))
                if error.kind.retry == "elsewhere":
                    search.tried.add((account.name, route))
                raise _fair(error, account) from error
            exchange.attempts.append(attempted())
            exchange.route, exchange.account = route, account.name
            exchange.notes += [note for note in (route.note, *spoken.opening.notes) if note]
            exchange.upstream_id = _upstream_id(spoken.head.headers)
            yield Speaking(spoken.opening.dialect, streamed=spoken.streamed, held=opening, rest=spoken.packets)

    async def _lease(self, held: AsyncExitStack, search: Search) -> tuple[Account, Route]:
        """An account for the first route that has one left to try. Raises GatewayError (NO_ACCOUNT)."""
        failure = GatewayError(Kind.NO_ACCOUNT, "there is no way to serve this model")
        for route in search.routes:
            try:
                lease = self._pool.lease(route, search.own, search.avoiding(route))
                return await held.enter_async_context(lease), route
            except GatewayError as error:
                failure = failure if failure.retry_after is not None else error
        raise failure

    def _deadlines(self, search: Search) -> Deadlines:
        patience = self._patience
        first = patience.first_byte_stream if search.ask.stream else patience.first_byte_whole
        return Deadlines(_now() + first, patience.stall, search.end)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _pause(failure: GatewayError, search: Search) -> None:
    """Before the same is tried again. Raises `failure` where there is no time left for it."""
    if failure.kind.retry != "same":
        return
    seconds = min(PAUSE * 2 ** (len(search.exchange.attempts) - 1), LONGEST_PAUSE)
    if _now() + seconds >= search.end:
        raise failure
    await asyncio.sleep(seconds)


async def _until_first_word(packets: AsyncIterator[Packet]) -> list[Packet]:
    held = []
    async for packet in packets:
        held.append(packet)
        if any(isinstance(event, BlockStarted | Ended) for event in packet.events):
            break
    return held


def _fair(error: GatewayError, account: Account) -> GatewayError:
    """A bad credential is our failure, unless the caller brought it."""
    if account.is_callers and error.kind is Kind.CREDENTIAL_REFUSED:
        return GatewayError(error.kind, error.message, status=401, upstream_status=error.upstream_status)
    return error


def _upstream_id(headers: Mapping[str, str]) -> str:
    return next((headers[name][:128] for name in UPSTREAM_IDS if name in headers), "")
