"""What follows for an account from how a request ended: a table, and pure functions over it.

Nothing here lasts: every rest has an end, after which one request at a time goes on trial until an account has spoken
again. So an account that was refused by mistake is back in minutes, whatever was said about it, and one that is really
gone costs its callers one failed attempt every two minutes, which moves on to another account.
"""

import math
from typing import Literal, TypeAlias

from msgspec import Struct, structs

from moongate.core.errors import GatewayError, Kind
from moongate.core.standing import Standing

Scope: TypeAlias = Literal["account", "group", "model"]
"""How much of an account a failure says something about. Models of one group share a quota."""


class Consequence(Struct, frozen=True):
    """An account rests after `strikes` failures in a row: `first` seconds, then each time twice as long up to
    `longest`.

    `may_wait`: it is likely over so soon that requests wait for it. `is_blame`: it speaks against the account, so that
    all accounts saying so at once points at the vendor.
    """

    scope: Scope
    first: float
    longest: float
    strikes: int = 1
    may_wait: bool = False
    is_blame: bool = False


CONSEQUENCES: dict[Kind, Consequence] = {
    Kind.RATE_LIMITED: Consequence("account", 1, 60, may_wait=True),
    Kind.OVERLOADED: Consequence("model", 1, 30, may_wait=True),
    Kind.QUOTA_EXHAUSTED: Consequence("group", 60, 120),
    Kind.BALANCE_EXHAUSTED: Consequence("account", 60, 120),
    Kind.CREDENTIAL_REFUSED: Consequence("account", 30, 120, is_blame=True),
    Kind.LOGIN_EXPIRED: Consequence("account", math.inf, math.inf),
    Kind.ACCOUNT_BARRED: Consequence("account", 30, 120, is_blame=True),
    Kind.MISDIRECTED: Consequence("account", 30, 120, is_blame=True),
    Kind.MODEL_NOT_IN_PLAN: Consequence("model", 120, 120),
    Kind.UNREACHABLE: Consequence("account", 1, 15, strikes=2, may_wait=True, is_blame=True),
    Kind.TIMED_OUT: Consequence("model", 5, 60, strikes=2, may_wait=True, is_blame=True),
    Kind.FAILED: Consequence("model", 1, 30, strikes=3, may_wait=True, is_blame=True),
    Kind.CHALLENGED: Consequence("account", 30, 120, is_blame=True),
    Kind.PROTOCOL: Consequence("model", 1, 30, strikes=3, may_wait=True, is_blame=True),
    Kind.TRUNCATED: Consequence("model", 1, 30, strikes=3, may_wait=True, is_blame=True),
}
"""Failures that are not here say nothing about the account: the request was at fault, the caller, or the gateway."""

SHARED_LONGEST = 10.0
"""Seconds an account rests at most where most of the pool failed alike: that is the vendor's trouble, not theirs."""

LONGEST_TOLD = 3600.0
"""Seconds a vendor's `Retry-After` is honoured at most."""


BELIEVED = 25.0
"""Seconds for which a refusal is believed whatever a vendor's other pages say: they lag behind, or see only a part."""


class Rest(Struct, frozen=True):
    """Why an account is not asked, since when and until when: moments on the pool's clock. `is_foreseen`: it was not
    refused yet, its vendor's word is that it would be; so it is the last to be asked, but asked before nobody is."""

    kind: Kind
    reason: str
    since: float
    until: float
    is_foreseen: bool = False

    @property
    def is_told(self) -> bool:
        """Longer than we would make it: the vendor said how long."""
        return self.until - self.since > CONSEQUENCES[self.kind].longest

    @property
    def may_wait(self) -> bool:
        return CONSEQUENCES[self.kind].may_wait


class Health(Struct, frozen=True):
    """Of one scope of an account. `strikes`: failures in a row; `kind` and `struck_at` are the last one's."""

    strikes: int = 0
    kind: Kind | None = None
    struck_at: float = -math.inf
    rest: Rest | None = None


WELL = Health()


def after_failure(
    health: Health, error: GatewayError, began: float, now: float, *, shared: bool, resets_in: float | None = None
) -> Health:
    """The state after a request that began at `began` has failed. `shared`: most of the pool has failed alike;
    `resets_in`: seconds until the quota that is used up starts anew, where that is known."""
    consequence = CONSEQUENCES[error.kind]
    if health.rest is not None and began < health.rest.since:
        return health  # one of many under way when it happened; they are one event, not many
    strikes = health.strikes + 1
    ours = _rest(consequence, strikes, shared=shared)
    least = min(ours, consequence.first) if consequence.may_wait else ours
    told = resets_in if error.retry_after is None else min(error.retry_after, LONGEST_TOLD)
    seconds = ours if told is None else max(told, least)  # a vendor's "0" is no leave to hammer it
    rest = Rest(error.kind, error.message, now, now + seconds) if seconds else None
    return Health(strikes, error.kind, now, rest)


def after_success(health: Health, began: float) -> Health:
    """A request that was under way before the account came to rest says nothing about now."""
    return health if health.rest is not None and began < health.rest.since else WELL


def _rest(consequence: Consequence, strikes: int, *, shared: bool) -> float:
    beyond = strikes - consequence.strikes
    if beyond < 0:
        return 0.0
    longest = min(consequence.longest, SHARED_LONGEST) if shared else consequence.longest
    return min(consequence.first * 2.0 ** min(beyond, 30), longest)


def is_shared(kind: Kind, others: list[Health], now: float) -> bool:
    """Whether more than half of a pool has lately failed this way, the account in question included; `others` are the
    states of the rest of it. A pool of one is its own majority: there is nobody else to turn to."""
    if not CONSEQUENCES[kind].is_blame:
        return False
    alike = 1 + sum(health.kind is kind and now - health.struck_at < LATELY for health in others)
    return alike * 2 > len(others) + 1


LATELY = 60.0
"""Seconds within which failures of several accounts count as one event."""


def eased(health: Health, now: float) -> Health:
    """The same after its failure turned out to be shared."""
    rest = health.rest
    if rest is None or rest.until <= now + SHARED_LONGEST or rest.is_told:
        return health
    return Health(health.strikes, health.kind, health.struck_at, _until(rest, now + SHARED_LONGEST))


def after_standing(health: Health, kind: Kind, standing: Standing, asked: float, now: float, wall: float) -> Health:
    """What a vendor's word on quota or balance (`kind`) means: exhausted rests before it is refused, and what has room
    again need not rest. `asked`: when the vendor was; `wall` is `now` in seconds since 1970."""
    exhausted = _exhaustion(kind, standing)
    rest = health.rest
    if exhausted is None:
        if rest is None or rest.kind is not kind or (rest.since + BELIEVED > asked and not rest.is_foreseen):
            return health
        return Health(health.strikes, health.kind, health.struck_at, _until(rest, min(rest.until, now)))
    reason, resets_at = exhausted
    until = now + CONSEQUENCES[kind].longest if resets_at is None else resets_at - wall + now
    if rest is not None and rest.kind is not kind and rest.until > until:
        return health
    if rest is None or rest.kind is not kind:
        return Health(health.strikes, kind, now, Rest(kind, reason, now, until, is_foreseen=True))
    return Health(health.strikes, kind, rest.since, Rest(kind, reason, rest.since, until, rest.is_foreseen))


def revived(health: Health, kinds: frozenset[Kind], now: float) -> Health:
    """What it rests for, if of `kinds`, is over as far as can be told without a request: the next one is its trial."""
    rest = health.rest
    if rest is None or rest.kind not in kinds or rest.until <= now or rest.since + BELIEVED > now:
        return health
    return Health(health.strikes, health.kind, health.struck_at, _until(rest, now))


def _exhaustion(kind: Kind, standing: Standing) -> tuple[str, float | None] | None:
    """Why nothing is left, and when something will be; None if there is something."""
    if kind is Kind.BALANCE_EXHAUSTED:
        return (f"the balance is {standing.money}", None) if standing.is_broke else None
    used_up = standing.used_up
    if not used_up:
        return None
    names = " and ".join(window.name for window in used_up)
    resets = [window.resets_at for window in used_up]
    known = [moment for moment in resets if moment is not None]
    return f"the plan's quota is used up: {names}", max(known) if len(known) == len(resets) else None


def _until(rest: Rest, moment: float) -> Rest:
    return structs.replace(rest, until=moment)
