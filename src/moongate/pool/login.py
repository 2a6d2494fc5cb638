"""A login as an account's credential: renewed before it is needed, once for all who need it.

A grant can be renewed once: its successor is then the only one that is good, here and in every process that shares the
store. So a renewal is one task, which no caller's end can end; it holds the store's lock, looks first whether another
process was quicker, and keeps what it got before anybody uses it. A store that cannot be written costs no grant: it
stays in memory, and is offered to the store again.
"""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.grant import Grant
from moongate.core.sealed import Sealed
from moongate.pool.holding import GrantStore, Holding
from moongate.upstreams.driver import Transport, run
from moongate.wire.http import Flow

SOON = 300.0
"""Seconds before its end at which a token is renewed, or half of its life if that is more. As the official clients do;
they look once a minute, we at each request, so that a token which lives for less than `SOON` needs a limit."""
MOST_OF_ITS_LIFE = 0.8

GOOD_FOR = 30.0
"""Seconds a token must still be good for, so that nobody has to wait while it is renewed."""


class Pauses(Struct, frozen=True):
    """In seconds. `tries`: between the tries of one renewal, as the official clients wait. `second_look`: after a
    refused one, before the store is looked at once more, as somebody may have been quicker. `breather`: between two
    renewals that nobody waits for. `farewell`: what a renewal may take to end when the gateway stops; cut off, it may
    cost the login.
    """

    tries: tuple[float, ...] = (1.0, 2.0)
    second_look: float = 0.1
    breather: float = 30.0
    farewell: float = 10.0


USUAL = Pauses()

_log = structlog.get_logger()


def is_due(grant: Grant, now: float) -> bool:
    """`now` is in seconds since 1970."""
    usual = max(SOON, grant.lifetime / 2)
    return grant.expires_at - now < min(usual, grant.lifetime * MOST_OF_ITS_LIFE)


class Login:
    """A `Credential`. `again`: what a person has to do to log in anew. `clock` in seconds since 1970.

    Nothing is read before it is first asked for a token. To be closed.
    """

    def __init__(
        self,
        store: GrantStore,
        renew: Callable[[Grant], Flow[Grant]],
        transport: Transport,
        *,
        again: str,
        clock: Callable[[], float] = time.time,
        pauses: Pauses = USUAL,
    ) -> None:
        self._name = store.name
        self._held = Holding(store)
        self._renew = renew
        self._transport = transport
        self._again = again
        self._clock = clock
        self._pauses = pauses
        self._refused: Sealed | None = None
        self._has_ended = False
        self._renewal: asyncio.Task[GatewayError | None] | None = None
        self._unasked_at = -math.inf
        self._closing = asyncio.Event()

    @property
    def shown(self) -> str:
        return repr(self._held.grant.access) if self._held.grant else "…"

    async def token(self) -> Sealed:
        """What to send now, renewed first where it is about to expire. Raises GatewayError: LOGIN_EXPIRED where a
        person has to log in, else what the renewal came to."""
        grant = await self._current()
        now = self._clock()
        if is_due(grant, now) and grant.expires_at - now <= GOOD_FOR:
            return await self._just_in_time(grant)
        if is_due(grant, now) or not self._held.is_kept:
            self._begin_unasked()
        return grant.access

    async def _just_in_time(self, grant: Grant) -> Sealed:
        """The next token, or while the login server is not to be had the old one for as long as it is good."""
        try:
            return (await self._renewed()).access
        except GatewayError as error:
            if error.kind is Kind.LOGIN_EXPIRED or grant.expires_at <= self._clock():
                raise
            return grant.access

    async def renewed(self, refused: Sealed) -> Sealed | None:
        """Another one after `refused` was answered with 401; None where there is no other. Raises GatewayError."""
        for _ in range(2):  # a renewal that is under way already need not be one of `refused`
            if (await self._current()).access != refused:
                return await self.token()
            self._refused = refused
            grant = await self._renewed()
            if grant.access != refused:
                return grant.access
        return None

    async def close(self) -> None:
        """Let a renewal that is under way end, and keep what could not be kept so far. A token that is good is still
        given out; none is renewed any more."""
        self._closing.set()
        if self._renewal is not None and not self._renewal.done():
            await asyncio.wait([self._renewal], timeout=self._pauses.farewell)
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
        if not self._held.is_kept:
            with suppress(GatewayError):
                await self._attempt()

    async def _current(self) -> Grant:
        """The grant to use; it may be about to expire. Raises GatewayError."""
        if self._held.grant is None or self._has_ended:
            await self._look()
        return self._known()

    async def _look(self) -> None:
        """A login that was made anew is taken up. Raises GatewayError."""
        if await self._held.look():
            self._has_ended = False

    def _known(self) -> Grant:
        if self._held.grant is None:
            raise GatewayError(Kind.LOGIN_EXPIRED, f"there is no login {self._name}: {self._again}")
        return self._held.grant

    def _begin_unasked(self) -> None:
        now = asyncio.get_running_loop().time()
        if not self._has_ended and not self._closing.is_set() and now >= self._unasked_at + self._pauses.breather:
            self._unasked_at = now
            self._begin()

    def _begin(self) -> asyncio.Task[GatewayError | None]:
        """The renewal under way, or a new one."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._tries())
        return self._renewal

    async def _renewed(self) -> Grant:
        """The grant, after a renewal. Raises GatewayError."""
        if self._has_ended:
            raise self._ended()
        if self._closing.is_set():
            raise self._stopping()
        renewal = self._begin()
        await asyncio.wait([renewal])  # who is cancelled here ends the waiting and not the renewal
        failure = self._stopping() if renewal.cancelled() else renewal.result()
        if failure is not None:
            raise _told(failure, failure.message) from failure  # each who waited has one of their own
        return self._known()

    async def _tries(self) -> GatewayError | None:
        """Until one succeeds. The failure is a result, as there may be nobody who waits for it."""
        for pause in (*self._pauses.tries, None):
            try:
                await self._attempt()
            except GatewayError as error:
                failure = error
            else:
                return None
            if pause is None or not _may_pass(failure.kind) or await self._is_closing_within(pause):
                break
        _log.warning("login not renewed", login=self._name, kind=failure.kind.code, reason=failure.message)
        return failure

    async def _attempt(self) -> None:
        """Raises GatewayError."""
        async with self._held.alone():
            await self._look()
            grant = self._known()
            if not self._held.is_kept:
                await self._held.keep(grant)
            if not is_due(grant, self._clock()) and grant.access != self._refused:
                return  # another process was quicker
            if self._closing.is_set():
                raise self._stopping()
            try:
                new = await run(self._renew(grant), self._transport)
            except GatewayError as error:
                if error.kind is not Kind.LOGIN_EXPIRED:
                    raise _told(error, f"the login {self._name} could not be renewed: {error.message}") from error
                await self._second_look(grant, error)
            else:
                await self._held.keep(new)
                _log.info("login renewed", login=self._name, seconds=round(new.lifetime))

    async def _second_look(self, refused: Grant, error: GatewayError) -> None:
        """Raises GatewayError (LOGIN_EXPIRED) unless there is another grant by now."""
        await asyncio.sleep(self._pauses.second_look)
        await self._look()
        if self._known() is refused:
            self._has_ended = True
            _log.error("login has ended", login=self._name, reason=error.message, do=self._again)
            raise _told(error, self._ended().message) from error

    async def _is_closing_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        return self._closing.is_set()

    def _ended(self) -> GatewayError:
        message = f"the login {self._name} has ended and must be made anew: {self._again}"
        return GatewayError(Kind.LOGIN_EXPIRED, message)

    def _stopping(self) -> GatewayError:
        return GatewayError(Kind.FAILED, f"the login {self._name} is not renewed any more: the gateway is stopping")


def _may_pass(kind: Kind) -> bool:
    return kind.retry == "same" or kind is Kind.TIMED_OUT


def _told(error: GatewayError, message: str) -> GatewayError:
    return GatewayError(error.kind, message, retry_after=error.retry_after, upstream_status=error.upstream_status)
