"""An account's state as it is told to the operator."""

import math

from moongate.pool.health import Rest
from moongate.pool.report import AccountReport, Rested, State
from moongate.pool.state import AccountState


def report(state: AccountState, now: float, wall: float) -> AccountReport:
    """`wall` is `now` in seconds since 1970."""
    account = state.account
    rests = {scope: health.rest for scope, health in state.health.items() if health.rest is not None}
    whole = rests.pop("account", None)
    resting = {scope: rest for scope, rest in rests.items() if rest.until > now}
    return AccountReport(
        name=account.name,
        upstream=account.upstream.name,
        credential=account.credential.shown,
        state=_state(state, whole, now),
        kind=whole.kind.code if whole else "",
        reason=_reason(whole) if whole else "",
        until=_on_wall(whole.until, now, wall) if whole else None,
        leased=state.leased,
        max_concurrency=state.limits.max_concurrency,
        served=state.served,
        failed=state.failed,
        resting=tuple(
            Rested(scope=scope, kind=rest.kind.code, reason=_reason(rest), until=_on_wall(rest.until, now, wall))
            for scope, rest in resting.items()
        ),
        standing=state.standing,
    )


def _state(state: AccountState, whole: Rest | None, now: float) -> State:
    if whole is not None:
        if whole.until <= now:
            return "trial"
        return "out" if whole.until == math.inf else "resting"
    return "busy" if state.is_full or state.limits.opens(0, now) > now else "ready"


def _reason(rest: Rest) -> str:
    return f"{rest.reason} (not refused yet, so asked after all others)" if rest.is_foreseen else rest.reason


def _on_wall(moment: float, now: float, wall: float) -> float | None:
    return None if moment == math.inf or moment <= now else moment - now + wall
