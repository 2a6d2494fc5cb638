"""Which account serves a request. Pure: reads states, changes none.

Routes are tried in their order. Of the accounts that are open for a route the one that holds the caller's session comes
first, as long as it is not much busier than the others; else the least busy, of these one whose quota is reset soonest
(what is left then is lost), and of these the one whose turn it is.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.route import Route
from moongate.pool.health import Rest
from moongate.pool.state import AccountState

Avoided: TypeAlias = Mapping[tuple[str, Route], float]
"""Account and route → the moment from which this request may go there again, infinity for never."""

SPILL, ALWAYS_HELD = 1.25, 4
"""A session's account may be this many times as busy as the mean before the session spills over to another, and always
hold this many requests."""

SOON = 1800.0
"""Seconds by which one quota must be reset sooner than another to come first."""


class Want(Struct, frozen=True, kw_only=True):
    """What a request asks of the pool. `homes`: accounts that hold its session, the best first. `tokens` is an estimate
    of what it will use. `pinned`: the account whose upstream remembers the conversation; while it serves nobody else is
    asked, though it be busy, up to the moment `pinned_until`."""

    routes: Sequence[Route]
    avoid: Avoided
    homes: tuple[str, ...] = ()
    tokens: int = 0
    pinned: str = ""
    pinned_until: float = -math.inf


class Pick(Struct, frozen=True):
    """`tries`: the scopes that were at rest until now, for which this request is the trial."""

    state: AccountState
    route: Route
    tries: tuple[str, ...]


class Wait(Struct, frozen=True):
    """Nobody now, but soon: at `until`, or `at_any_time`, as when an account is returned. `reason` for who asks why.
    `look_again_at`: the next moment at which anything changes, worth waiting for or not."""

    until: float
    reason: str
    at_any_time: bool = True
    look_again_at: float = math.inf


class Obstacle(Struct, frozen=True):
    """Why an account does not serve now. `until`: infinity where only its return, or nothing, can change it."""

    reason: str
    until: float
    may_wait: bool
    rest: Rest | None = None


class Open(Struct, frozen=True):
    """`is_last`: its vendor has said that it would refuse."""

    state: AccountState
    tries: tuple[str, ...]
    is_last: bool = False


def pick(states: Iterable[AccountState], want: Want, now: float) -> Pick | Wait | GatewayError:
    """An account and the way to it; or how long to wait; or (NO_ACCOUNT) why waiting is no use."""
    states = tuple(states)
    if want.pinned and (there := _pinned(states, want, now)) is not None:
        return there
    obstacles: list[tuple[AccountState, Obstacle]] = []
    last: Pick | None = None
    for route in want.routes:
        able = [state for state in states if state.account.serves(route)]
        opened: list[Open] = []
        for state in able:
            match _look(state, route, want, now):
                case Open() as found:
                    opened.append(found)
                case Obstacle() as obstacle:
                    obstacles.append((state, obstacle))
        usual = [found for found in opened if not found.is_last]
        if opened:
            best = _best(usual or opened, want.homes)
            found_here = Pick(best.state, route, best.tries)
            if usual:
                return found_here
            last = last or found_here
    if last is not None:
        return last
    waits = [obstacle for _, obstacle in obstacles if obstacle.may_wait]
    if waits:
        first = min(waits, key=lambda obstacle: obstacle.until)
        at_any_time = any(obstacle.until == math.inf for obstacle in waits)
        changes = (min(obstacle.until, state.limits.forgets_at) for state, obstacle in obstacles)
        return Wait(first.until, first.reason, at_any_time, min(changes))
    return _nobody(obstacles, now)


def _pinned(states: Sequence[AccountState], want: Want, now: float) -> Pick | Wait | None:
    """The account it is pinned to, or the wait for it; None where that one cannot serve, or not soon enough, or has
    failed this request already."""
    if any(name == want.pinned for name, _ in want.avoid):
        return None
    for state in states:
        if state.account.name != want.pinned:
            continue
        for route in filter(state.account.serves, want.routes):
            match _look(state, route, want, now):
                case Open(tries=tries, is_last=False):
                    return Pick(state, route, tries)
                case Obstacle(reason, until, may_wait=True, rest=None) if now < want.pinned_until and (
                    until == math.inf or until < want.pinned_until
                ):
                    look_again_at = min(until, want.pinned_until, state.limits.forgets_at)
                    return Wait(until, reason, until == math.inf, look_again_at)
    return None


def _look(state: AccountState, route: Route, want: Want, now: float) -> Open | Obstacle:
    again = want.avoid.get((state.account.name, route), -math.inf) if want.avoid else -math.inf
    if again == math.inf:
        rest = next((health.rest for _, health in state.troubles(route.model) if health.rest is not None), None)
        until = again if rest is None else rest.until
        return Obstacle("it has refused this request already", until, may_wait=False, rest=rest)
    tries, is_last = [], False
    for scope, health in state.troubles(route.model):
        rest = health.rest
        if rest is None:
            continue
        if rest.until > now and not rest.is_foreseen:
            return Obstacle(rest.reason, max(rest.until, again), rest.may_wait, rest)
        if scope in state.on_trial:
            return Obstacle(rest.reason, math.inf, may_wait=True, rest=rest)
        tries.append(scope)
        is_last = is_last or rest.until > now
    if again > now:
        return Obstacle("it has failed this request a moment ago", again, may_wait=True)
    if state.is_full:
        return Obstacle("every account for this model is at its limit", math.inf, may_wait=True)
    free = state.limits.opens(want.tokens, now)
    if free > now:
        return Obstacle(
            "every account for this model has had its requests or tokens of this minute", free, may_wait=True
        )
    return Open(state, tuple(tries), is_last)


def _best(opened: Sequence[Open], homes: tuple[str, ...]) -> Open:
    if len(opened) == 1:
        return opened[0]
    if homes:
        by_name = {found.state.account.name: found for found in opened}
        held = max(ALWAYS_HELD, math.ceil(SPILL * (sum(found.state.leased for found in opened) + 1) / len(opened)))
        for home in homes:
            if (found := by_name.get(home)) is not None and found.state.leased < held:
                return found
    soonest = min(_resets_at(found.state) for found in opened) + SOON
    return min(opened, key=lambda found: (found.state.leased, _resets_at(found.state) > soonest, found.state.turn))


def _resets_at(state: AccountState) -> float:
    """When the first part of its quota starts anew, in seconds since 1970; infinity where it has none."""
    if state.standing is None or not state.standing.windows:
        return math.inf
    return min((window.resets_at or math.inf for window in state.standing.windows), default=math.inf)


def _nobody(obstacles: Sequence[tuple[AccountState, Obstacle]], now: float) -> GatewayError:
    """Told with what each rests for, and with the soonest moment at which that may be over."""
    resting = {state.account.name: obstacle.rest for state, obstacle in obstacles if obstacle.rest is not None}
    if not resting:
        return GatewayError(Kind.NO_ACCOUNT, "no account can serve this model now")
    soonest = min(rest.until for rest in resting.values())
    told = "; ".join(f"{name} rests: {rest.reason[:LONGEST_TOLD]}" for name, rest in list(resting.items())[:MOST_TOLD])
    more = f"; and {len(resting) - MOST_TOLD} more" if len(resting) > MOST_TOLD else ""
    after = None if soonest == math.inf else max(0.0, soonest - now)
    return GatewayError(Kind.NO_ACCOUNT, f"no account can serve this model now: {told}{more}", retry_after=after)


MOST_TOLD, LONGEST_TOLD = 3, 300
"""Accounts whose troubles one error tells, and characters of each."""
