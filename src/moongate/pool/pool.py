"""Lends accounts. A lease is a scope, and is judged by how its block ended: well, by a GatewayError that says something
about the account, or in another way, such as a caller hanging up, which says nothing. Nobody reports anything.

Which account it is, `select` decides; what follows from a failure, `health`. Here is who holds what, and who waits.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import count

from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.route import Route
from moongate.core.standing import Standing
from moongate.pool.account import Account
from moongate.pool.affinity import STRANGER, Affinity, Session
from moongate.pool.health import CONSEQUENCES
from moongate.pool.pace import Entry
from moongate.pool.queue import FairQueue
from moongate.pool.report import AccountReport
from moongate.pool.reporting import report
from moongate.pool.roster import Promise, Roster, can_serve, rests
from moongate.pool.select import Pick, Wait, Want, pick
from moongate.pool.state import AccountState

LONGEST_QUEUE = 1000
"""Requests that may wait at a time: each holds its body in memory."""


MOST_GUESTS = 1000
"""Accounts that callers brought and whose turns are remembered; the ones not used for longest go first."""


class PoolStatistics(Struct, frozen=True):
    accounts: int
    leased: int
    waiting: int


class Asking(Struct, frozen=True, kw_only=True):
    """A request that wants an account. `own`: the accounts its caller brought, instead of ours. `lane`: whom to be fair
    to. `avoid` and `pinned` as in `Want`. `wait_until`: the moment up to which it would wait. `tokens`: an estimate of
    its use."""

    routes: Sequence[Route]
    own: tuple[Account, ...] = ()
    avoid: Mapping[tuple[str, Route], float] = {}
    lane: str = ""
    session: Session = STRANGER
    tokens: int = 0
    wait_until: float = -math.inf
    pinned: str = ""
    pinned_until: float = -math.inf

    def is_like(self, other: "Asking") -> bool:
        """Whether who serves one serves the other. Who waits out a pause of their own, or for one account, is like
        nobody."""
        is_usual = not (self.avoid or other.avoid or self.pinned or other.pinned)
        return is_usual and (self.routes, self.own) == (other.routes, other.own)


class Lease:
    """An account for a while. `spent` is to be set to the tokens used, once they are known; `state`, `tries`, `began`
    and `taken` are the pool's."""

    def __init__(self, pool: "Pool", picked: Pick, began: float, taken: Entry) -> None:
        self.account = picked.state.account
        self.route = picked.route
        self.spent: int | None = None
        self.state, self.tries, self.began, self.taken = picked.state, picked.tries, began, taken
        self._pool = pool

    def spoke(self) -> None:
        """The account has begun to answer: if it was on trial, others need not wait for the end of this reply."""
        if self.tries:
            self._pool.end_trial(self)


class Waiting(Struct, eq=False):
    asking: Asking
    lease: asyncio.Future[Lease]


class Pool:
    """Moments are those of the running loop's clock; `wall` is seconds since 1970."""

    def __init__(self, accounts: Iterable[Account] = (), wall: Callable[[], float] = time.time) -> None:
        self._roster = Roster()
        self._roster.adopt(accounts)
        self._guests: OrderedDict[Account, AccountState] = OrderedDict()  # by all of it: names of keys may be alike
        self._affinity = Affinity()
        self._queue: FairQueue[Waiting] = FairQueue()
        self._turns = count(1)
        self._timer: asyncio.TimerHandle | None = None
        self._wall = wall
        self._is_stopping = False
        self.troubled = asyncio.Event()
        """Set when an account comes to rest; who looks after them clears it."""

    @property
    def states(self) -> tuple[AccountState, ...]:
        return self._roster.states

    @property
    def accounts(self) -> tuple[Account, ...]:
        return tuple(state.account for state in self._roster.states)

    @property
    def guests(self) -> tuple[Account, ...]:
        """Accounts that callers have brought of late."""
        return tuple(self._guests)

    def __len__(self) -> int:
        return len(self._roster)

    def statistics(self) -> PoolStatistics:
        leased = sum(state.leased for state in (*self._roster.states, *self._guests.values()))
        return PoolStatistics(len(self._roster), leased, len(self._queue))

    def reports(self) -> tuple[AccountReport, ...]:
        now, wall = _now(), self._wall()
        _forget(self._roster.states, now)
        return tuple(report(state, now, wall) for state in self._roster.states)

    def can_serve(self, promises: Callable[[Account], Promise], patience: float) -> bool:
        """Whether any account can, as far as is known. `patience`: seconds for which a request waits."""
        now = _now()
        return any(can_serve(state, promises(state.account), patience, now) for state in self._roster.states)

    def adopt(self, accounts: Iterable[Account]) -> None:
        """Serve by these from now on."""
        self._roster.adopt(accounts)
        self._serve_waiting()

    def reset(self, name: str) -> bool:
        """Forget all that is held against an account. False if there is none of this name."""
        found = self._roster.reset(name)
        self._serve_waiting()
        return found

    def learn(self, state: AccountState, standing: Standing, asked: float) -> None:
        """What its vendor says of an account, which was asked at this moment."""
        self._roster.learn(state, standing, asked, _now(), self._wall())
        self._serve_waiting()

    def revive(self, state: AccountState, kinds: frozenset[Kind]) -> None:
        self._roster.revive(state, kinds, _now())
        self._serve_waiting()

    @asynccontextmanager
    async def lease(self, asking: Asking) -> AsyncIterator[Lease]:
        """An account that serves one of the routes, waited for until `asking.wait_until`.

        Raises GatewayError (NO_ACCOUNT) with the soonest moment at which another try may succeed.
        """
        lease = await self._admitted(asking)
        try:
            yield lease
            lease.state.served += 1
            self._roster.praise(lease.state, lease.route.model, lease.began)
        except GatewayError as error:
            lease.state.failed += error.kind in CONSEQUENCES
            if self._roster.judge(lease.state, lease.route.model, error, lease.began, _now(), self._wall()):
                self.troubled.set()
            raise
        finally:
            self._take_back(lease)

    def recovery(self, asking: Asking) -> float | None:
        """Seconds until an account may serve this; None where that is now, or nobody knows."""
        match self._pick(asking):
            case Wait(until) if until < math.inf:
                return max(0.0, until - _now())
            case GatewayError() as error:
                return error.retry_after
            case _:
                return None

    def stop(self) -> None:
        """Nobody waits any more: there will not be the time."""
        self._is_stopping = True
        for lane, waiting in self._queue:
            self._queue.remove(lane, waiting)
            if not waiting.lease.done():
                waiting.lease.set_exception(_stopping())

    def end_trial(self, lease: Lease) -> None:
        """What it was on trial for is over."""
        self._roster.praise(lease.state, lease.route.model, lease.began)
        lease.state.on_trial.difference_update(lease.tries)
        lease.tries = ()
        self._serve_waiting()

    def occupy(self, lease: Lease, task: asyncio.Task[None]) -> None:
        """The account is as busy as before until `task` is done: a reply that is still being stopped counts there."""
        state = lease.state
        state.leased += 1

        def free(_: asyncio.Task[None]) -> None:
            state.leased -= 1
            self._serve_waiting()

        task.add_done_callback(free)

    async def _admitted(self, asking: Asking) -> Lease:
        is_behind = any(waiting.asking.is_like(asking) for _, waiting in self._queue)
        found = Wait(-math.inf, "others wait already") if is_behind else self._pick(asking)
        match found:
            case Pick():
                return self._lend(found, asking)
            case GatewayError():
                raise found
            case Wait(until, reason, at_any_time):
                if self._is_stopping:
                    raise _stopping()
                if asking.wait_until <= _now() or (asking.wait_until < until and not at_any_time):
                    raise _too_long(reason, until)
                return await self._wait(asking, reason)

    async def _wait(self, asking: Asking, reason: str) -> Lease:
        with self._queued(asking) as coming:
            await asyncio.wait([coming], timeout=asking.wait_until - _now())
            if not coming.done():
                self._serve_waiting()  # what it waits for may come in this very moment
            if not coming.done():
                raise self._still_nobody(asking, reason)
            return coming.result()

    @contextmanager
    def _queued(self, asking: Asking) -> Iterator[asyncio.Future[Lease]]:
        """A place in the queue, and the lease it is for. Raises GatewayError (NO_ACCOUNT) where there is none left."""
        if len(self._queue) >= LONGEST_QUEUE:
            raise GatewayError(Kind.NO_ACCOUNT, f"{LONGEST_QUEUE} requests wait already", retry_after=1)
        waiting = Waiting(asking, asyncio.get_running_loop().create_future())
        coming = waiting.lease
        self._queue.put(asking.lane, waiting)
        self._serve_waiting()
        try:
            yield coming
        except BaseException:
            if coming.done() and coming.exception() is None:  # in the moment in which nobody waited for it any more
                self._take_back(coming.result())
            raise
        finally:
            if self._queue.remove(asking.lane, waiting):
                self._serve_waiting()  # who was behind may be in front now

    def _still_nobody(self, asking: Asking, reason: str) -> GatewayError:
        match self._pick(asking):
            case GatewayError() as error:
                return error
            case Wait(until, reason):
                return _too_long(reason, until)
            case Pick():  # somebody else's turn
                return _too_long(reason, math.inf)

    def _serve_waiting(self) -> None:
        """Whoever can be served now, is: in fair order, and nobody waits behind one who cannot be."""
        if not len(self._queue):
            return
        soonest, too_large = math.inf, dict[Hashable, int]()  # where so many tokens wait in vain, more do too
        for lane, waiting in self._queue:
            asking = waiting.asking
            wanted = (tuple(asking.routes), asking.own)
            is_usual = not (asking.avoid or asking.pinned)
            if waiting.lease.done() or (is_usual and asking.tokens >= too_large.get(wanted, math.inf)):
                continue
            match self._pick(asking):
                case Pick() as picked:
                    self._queue.served(lane, waiting)
                    waiting.lease.set_result(self._lend(picked, asking))
                case Wait() as wait:
                    soonest = min(soonest, wait.look_again_at)
                    if is_usual:
                        too_large[wanted] = asking.tokens
                case GatewayError() as error:
                    self._queue.remove(lane, waiting)
                    waiting.lease.set_exception(error)
        self._call_at(soonest)

    def _call_at(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if moment == math.inf else asyncio.get_running_loop().call_at(moment, self._serve_waiting)

    def _pick(self, asking: Asking) -> Pick | Wait | GatewayError:
        states = tuple(map(self._guest, asking.own)) if asking.own else self._roster.states
        homes, now = self._affinity.homes(asking.session), _now()
        _forget(states, now)
        want = Want(
            routes=asking.routes,
            avoid=asking.avoid,
            homes=homes,
            tokens=asking.tokens,
            pinned=asking.pinned,
            pinned_until=asking.pinned_until,
        )
        return pick(states, want, now)

    def _guest(self, account: Account) -> AccountState:
        return self._guests.get(account) or AccountState.of(account)

    def _lend(self, picked: Pick, asking: Asking) -> Lease:
        state, now = picked.state, _now()
        if state.account.is_callers:
            self._invite(state)
        state.leased += 1
        state.turn = next(self._turns)
        state.on_trial.update(picked.tries)
        taken = state.limits.take(asking.tokens, now)
        if asking.session.kept and not asking.own and len(self._roster) > 1:
            self._keep(asking, picked, now)
        return Lease(self, picked, now, taken)

    def _invite(self, state: AccountState) -> None:
        self._guests[state.account] = state
        self._guests.move_to_end(state.account)
        if len(self._guests) > MOST_GUESTS:
            self._guests.popitem(last=False)

    def _keep(self, asking: Asking, picked: Pick, now: float) -> None:
        homes = self._affinity.homes(asking.session)
        home = self._roster.get(homes[0]) if homes else None
        has_failed = any(name in homes[:1] for name, _ in asking.avoid)
        is_lost = home is None or has_failed or rests(home, picked.route.model, now)
        self._affinity.keep(asking.session, homes, picked.state.account.name, moved=is_lost)

    def _take_back(self, lease: Lease) -> None:
        state = lease.state
        state.leased -= 1
        state.on_trial.difference_update(lease.tries)
        if lease.spent is not None:
            state.limits.settle(lease.taken, lease.spent, _now())
        self._serve_waiting()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _forget(states: Iterable[AccountState], now: float) -> None:
    """Limits that were learned too long ago."""
    for state in states:
        if state.limits.forgets_at <= now:
            state.limits.forget(now)


def _stopping() -> GatewayError:
    return GatewayError(Kind.NO_ACCOUNT, "the gateway is stopping, and no account is free now", retry_after=1)


def _too_long(reason: str, until: float) -> GatewayError:
    seconds = 1.0 if until in (math.inf, -math.inf) else max(1.0, until - _now())
    return GatewayError(Kind.NO_ACCOUNT, f"no account can serve this model now: {reason}", retry_after=seconds)
