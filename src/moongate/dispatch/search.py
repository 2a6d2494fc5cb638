"""One request on its way to an account: where it may still go, what it has tried, and what that has cost."""

import asyncio
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct, field, structs

from moongate.core.errors import GatewayError, Kind
from moongate.core.exchange import ABANDONED, Attempt, Exchange
from moongate.core.route import Route
from moongate.core.tally import Cost, Tally
from moongate.core.turn import Turn
from moongate.pool.account import Account
from moongate.pool.affinity import Session
from moongate.pool.pool import Asking, Lease
from moongate.upstreams.driver import Spoken

UPSTREAM_IDS = ("x-trace-id", "msh-request-id", "x-request-id")
"""Headers in which vendors name a request, for their support."""

PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds before the same account is tried again, doubled each time up to the longest."""

PINNED = 0.5
"""The share of a request's patience for which it waits for the one account that remembers its conversation."""

TICK = 0.1
"""Seconds by which a wait outlasts what it waits for: timers are not exact."""


class Search(Struct):
    """Which ways a request may go, where it may not go before which moment, and until when it may try (loop's clock).
    `whole`: its reply is held back until it is complete. `tokens`: an estimate of its size."""

    turn: Turn
    routes: Sequence[Route]
    own: tuple[Account, ...]
    session: Session
    whole: bool
    exchange: Exchange
    end: float
    tokens: int
    avoid: dict[tuple[str, Route], float] = field(default_factory=dict)
    again: float = -math.inf
    """The end of the pause before the same account may be tried again: so long it waits at least for one."""

    def asking(self, patience: float) -> Asking:
        now = _now()
        return Asking(
            routes=self.routes,
            own=self.own,
            avoid=self.avoid,
            lane=_lane(self.exchange),
            session=self.session,
            tokens=self.tokens,
            wait_until=min(max(now + patience, self.again + TICK), self.end),
            pinned=self.turn.anchor.account if self.turn.anchor else "",
            pinned_until=now + patience * PINNED,
        )

    def turn_at(self, account: Account) -> Turn:
        """The request as this account is to be asked: all of it, unless it is the one that remembers the beginning."""
        anchor = self.turn.anchor
        is_known = anchor is not None and (anchor.account, anchor.upstream) == (account.name, account.upstream.name)
        return self.turn if is_known else self.turn.anew()

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
        lease.spent = lease.spent or None  # that an earlier one was refused says nothing of this one
        try:
            yield
        except GatewayError as error:
            if error.kind.origin != "caller":
                self._note(lease, began, tally.cost(error), error.kind.code, error.upstream_status)
            raise
        except BaseException as error:
            is_abandoned = isinstance(error, asyncio.CancelledError)
            self._note(lease, began, tally.cost(), ABANDONED if is_abandoned else Kind.INTERNAL.code)
            raise
        self._note(lease, began)

    def left(self, turn: Turn, tally: Tally) -> None:
        """A chat that only goes on from its last message is not to be gone on with where an attempt has left half of a
        turn in it."""
        is_spoilt = tally.anchored is not None and tally.reason is None
        if turn.anchor is not None and not turn.anchor.message and is_spoilt:
            self.turn = self.turn.anew()

    def began(self, lease: Lease, spoken: Spoken, notes: Sequence[str] = ()) -> None:
        """This is the reply that the caller will hear."""
        exchange = self.exchange
        exchange.route, exchange.account = _shown(lease), lease.account.name
        exchange.notes += [note for note in (lease.route.note, *notes, *spoken.opening.notes) if note]
        exchange.upstream_id = _upstream_id(spoken.head.headers)

    def heard(self, lease: Lease, tally: Tally) -> None:
        """That reply is over, whether it came to its end, broke, or was no longer listened to."""
        exchange = self.exchange
        exchange.cost, exchange.reason = tally.cost(exchange.failure), tally.reason
        _settle(lease, exchange.cost)

    def _note(
        self, lease: Lease, began: float, cost: Cost | None = None, error: str = "", status: int | None = None
    ) -> None:
        seconds = time.monotonic() - began
        self.exchange.attempts.append(Attempt(lease.account.name, str(_shown(lease)), seconds, error, status, cost))
        if status is not None and 400 <= status < 500:  # a request that was refused is not counted by the vendor either
            lease.spent = lease.spent or 0
        _settle(lease, cost)


def _settle(lease: Lease, cost: Cost | None) -> None:
    """Several attempts may be made on one lease: one more where a login's token was refused."""
    if cost is not None:
        lease.spent = (lease.spent or 0) + cost.tokens


def _now() -> float:
    return asyncio.get_running_loop().time()


def _shown(lease: Lease) -> Route:
    """The way it really went: a route may name an account, or a kind of them."""
    return structs.replace(lease.route, upstream=lease.account.upstream.name)


def _lane(exchange: Exchange) -> str:
    """Whom to be fair to: a key, or where nobody has one the address they ask from."""
    caller = exchange.caller
    return exchange.client if caller is None or caller.kind == "anonymous" else caller.name


def _upstream_id(headers: Mapping[str, str]) -> str:
    return next((headers[name][:128] for name in UPSTREAM_IDS if name in headers), "")
