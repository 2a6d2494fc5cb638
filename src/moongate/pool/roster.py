"""The accounts there are and what is known of each: kept from what their requests came to and what their vendors say.

Every method takes the moment it is; nothing here waits or knows of a queue.
"""

import math
from collections.abc import Iterable

import structlog
from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.standing import Standing
from moongate.pool import health
from moongate.pool.account import Account
from moongate.pool.health import CONSEQUENCES, WELL, Health
from moongate.pool.state import AccountState

REASON_LIMIT = 300
"""Characters kept of a vendor's reason."""

WAITED_OUT = 10.0
"""Seconds at most of a rest that is no reason to send requests to another gateway: they wait it out here."""

_log = structlog.get_logger()


class Roster:
    def __init__(self) -> None:
        self._states: dict[str, AccountState] = {}

    def __len__(self) -> int:
        return len(self._states)

    @property
    def states(self) -> tuple[AccountState, ...]:
        return tuple(self._states.values())

    def get(self, name: str) -> AccountState | None:
        return self._states.get(name)

    def adopt(self, accounts: Iterable[Account]) -> None:
        """These from now on. What is known of an account that stays is kept, and its leases go on."""
        before, self._states = self._states, {}
        for account in accounts:
            state = before.get(account.name)
            if state is None or not account.is_same(state.account):
                state = AccountState.of(account)
            else:
                state.become(account)
            self._states[account.name] = state

    def judge(
        self, state: AccountState, model: str, error: GatewayError, began: float, now: float, wall: float
    ) -> bool:
        """What the failure of a request that began at `began` means for its account. Whether it came to rest by it."""
        if error.limit is not None and state.limits.heed(error.limit, now):
            _log.warning("limit learned", account=state.account.name, limit=error.limit.name, amount=error.limit.amount)
        if error.kind not in CONSEQUENCES or state.account.is_callers:
            return False
        scope = state.scope(error.kind, model)
        known = state.health.get(scope, WELL)
        peers = [peer for peer in self._states.values() if peer is not state and peer.account.is_peer(state.account)]
        shared = health.is_shared(error.kind, [peer.health.get(scope, WELL) for peer in peers], now)
        resets_in = _resets_in(state, error.window, wall)
        judged = health.after_failure(known, error, began, now, shared=shared, resets_in=resets_in)
        if judged is known:
            return False
        state.note(scope, judged)
        if shared:
            self._ease(peers, scope, error.kind, now)
        if judged.rest is not None:
            _tell(state, scope, judged.rest, now, shared=shared)
        return judged.rest is not None

    def praise(self, state: AccountState, model: str, began: float) -> None:
        """A request that began at `began` was served to its end."""
        for scope, known in tuple(state.troubles(model)):
            now_well = health.after_success(known, began)
            state.note(scope, now_well)
            if known.rest is not None and now_well == WELL:
                _log.info("account serves again", account=state.account.name, scope=scope, kind=known.rest.kind.code)

    def learn(self, state: AccountState, standing: Standing, asked: float, now: float, wall: float) -> None:
        """What its vendor says of an account. Of a plan it is said for the usual models; others may have more left."""
        state.standing = standing
        usual = f"group {state.account.upstream.group('')}"
        for scope, kind in ((usual, Kind.QUOTA_EXHAUSTED), ("account", Kind.BALANCE_EXHAUSTED)):
            known = state.health.get(scope, WELL)
            learned = health.after_standing(known, kind, standing, asked, now, wall)
            state.note(scope, learned)
            if learned.rest is not None and known.rest is None:
                _tell(state, scope, learned.rest, now, shared=False)

    def revive(self, state: AccountState, kinds: frozenset[Kind], now: float) -> None:
        """The vendor has answered a call on its behalf, which ends rests of these kinds."""
        for scope, known in tuple(state.health.items()):
            state.note(scope, health.revived(known, kinds, now))

    def reset(self, name: str) -> bool:
        """Forget all that is held against an account, and the limits its vendor told. False if there is none of this
        name."""
        state = self._states.get(name)
        if state is None:
            return False
        state.pardon()
        return True

    def _ease(self, peers: Iterable[AccountState], scope: str, kind: Kind, now: float) -> None:
        for peer in peers:
            its = peer.health.get(scope, WELL)
            if its.kind is kind:
                peer.note(scope, health.eased(its, now))


def rests(state: AccountState, model: str, now: float) -> bool:
    """Whether anything keeps it from serving a model for a while."""
    return any(_is_at_rest(known, now) for _, known in state.troubles(model))


class Promise(Struct, frozen=True):
    """What is known of an account beside its requests: `models` it names, none where nobody knows; `is_doubted`: its
    vendor did not tell when it was last asked."""

    models: tuple[str, ...] = ()
    is_doubted: bool = False


def can_serve(state: AccountState, promise: Promise, patience: float, now: float) -> bool:
    """Whether any of its models is served by it; where none are known, whether it does not rest as a whole. An account
    that has served is believed more than what its vendor tells beside. `patience`: seconds for which requests wait."""
    if promise.is_doubted and not state.served:
        return False
    if not promise.models:
        return not _is_off(state.health.get("account", WELL), patience, now)
    return any(not any(_is_off(known, patience, now) for _, known in state.troubles(model)) for model in promise.models)


def _resets_in(state: AccountState, window: str, wall: float) -> float | None:
    """Seconds until a part of its quota starts anew, by what its vendor said last; None where it did not."""
    windows = state.standing.windows if state.standing and window else ()
    moments = (one.resets_at for one in windows if one.name == window)
    return next((moment - wall for moment in moments if moment is not None and moment > wall), None)


def _is_at_rest(known: Health, now: float) -> bool:
    return known.rest is not None and known.rest.until > now


def _is_off(known: Health, patience: float, now: float) -> bool:
    """Nobody is served. What rests by foresight is asked before nobody is, and short rests are waited out, but for no
    more than two in a row: then there is no telling when it will end."""
    rest = known.rest
    if rest is None or rest.is_foreseen:
        return False
    is_early = rest.may_wait and known.strikes < CONSEQUENCES[rest.kind].strikes + 2
    return rest.until > (now + min(WAITED_OUT, patience) if is_early else now)


def _tell(state: AccountState, scope: str, rest: health.Rest, now: float, *, shared: bool) -> None:
    _log.warning(
        "account rests",
        account=state.account.name,
        upstream=state.account.upstream.name,
        scope=scope,
        kind=rest.kind.code,
        reason=rest.reason[:REASON_LIMIT],
        seconds=None if rest.until == math.inf else round(rest.until - now, 1),
        shared=shared,
    )
