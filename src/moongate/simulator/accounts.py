"""What the simulated vendor holds about each account: money, quota windows, limits, and whether it is let in at all.

An account is known by its credential, one that logs in by its login, whatever token it shows at the moment. Everything
is allowed until a test says otherwise.
"""

from fnmatch import fnmatchcase
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from moongate.simulator.catalogue import CATALOGUE
from moongate.simulator.meter import Meter
from moongate.simulator.refusals import Refusal
from moongate.simulator.settable import change, shown
from moongate.simulator.values import JsonObject

MINUTE: Final = 60.0
DAY: Final = 86400.0
MOST: Final = 2000
"""Accounts remembered; those unused for longest are forgotten."""

Money = Annotated[float, Meta(ge=-1e12, le=1e12)]
Moment = Annotated[float, Meta(ge=0, le=1e11)]
Length = Annotated[float, Meta(gt=0, le=1e9)]
Count = Annotated[int, Meta(ge=0, le=10**15)]


class QuotaWindow(msgspec.Struct, forbid_unknown_fields=True):
    """`limit` and `used` count requests; it starts anew at `resets_at` (seconds since 1970) for another `length`."""

    limit: Count
    used: Count = 0
    resets_at: Moment = 0.0
    length: Length = 18000.0

    def roll(self, now: float) -> None:
        if self.resets_at <= 0:
            self.resets_at = now + self.length
        elif self.resets_at <= now:
            self.resets_at += self.length * ((now - self.resets_at) // self.length + 1)
            self.used = 0

    @property
    def is_full(self) -> bool:
        return self.used >= self.limit


class Booster(msgspec.Struct, forbid_unknown_fields=True):
    """A wallet for what goes beyond the plan, in cents of `currency`. `monthly_limit` None: none is set.

    While some is left, a full window bars nobody. What a request then costs is unknown, so nothing is taken.
    """

    left: Money
    amount: Money
    currency: str = "USD"
    monthly_limit: Count | None = None
    monthly_used: Count = 0


class Terms(msgspec.Struct):
    """What a test may set. Money is in the vendor's currency, `balance` what was paid in and `voucher` what was given.

    `barred` names a row of the catalogue, or is a refusal, that answers every call. `windows` are by name, of which
    `5h`, `7d`, `month_total` and `month_code` are told by `/usages`; `highspeed_windows` are those of models
    `*-highspeed`, None where they share the plan's. `models` are those it has, None for all. `tpm` and `tpd` count
    the tokens of a prompt and those that its request allows for the answer, from when the limit is set.
    """

    balance: Money = 100.0
    voucher: Money = 0.0
    plan: str = "LEVEL_INTERMEDIATE"
    windows: dict[str, QuotaWindow] = msgspec.field(default_factory=dict)
    highspeed_windows: dict[str, QuotaWindow] | None = None
    booster: Booster | None = None
    max_concurrency: Count | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    tpd: Count | None = None
    retry_after_header: bool = False
    barred: str | Refusal | None = None
    models: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.barred, str) and self.barred not in CATALOGUE:
            raise ValueError(f"barred: no such row {self.barred!r}; there are {', '.join(CATALOGUE)}")

    @property
    def available(self) -> float:
        """Debts are not taken from vouchers."""
        return self.voucher + max(0.0, self.balance)


class AccountState(Terms, eq=False):
    """`peak` is the most requests it ever had `active` at a time."""

    peak: int = 0
    active: int = 0
    requests: Meter = msgspec.field(default_factory=lambda: Meter(MINUTE))
    minute: Meter = msgspec.field(default_factory=lambda: Meter(MINUTE))
    day: Meter = msgspec.field(default_factory=lambda: Meter(DAY))

    def barring(self) -> Refusal | None:
        return CATALOGUE[self.barred] if isinstance(self.barred, str) else self.barred

    def begin(self) -> None:
        self.active += 1
        self.peak = max(self.peak, self.active)

    def end(self) -> None:
        self.active -= 1

    def windows_of(self, model: str) -> dict[str, QuotaWindow]:
        own = self.highspeed_windows
        return own if own is not None and fnmatchcase(model, "*-highspeed") else self.windows

    def change(self, given: object) -> None:
        """Set what is given as JSON. Raises ValueError."""
        change(self, Terms, given)

    def as_json(self) -> JsonObject:
        return {**shown(self, Terms), "active": self.active, "peak": self.peak}


class Accounts:
    """By the name of whoever asks: a key, or a login."""

    def __init__(self) -> None:
        self._states: dict[str, AccountState] = {}  # the last to ask at the end

    def of(self, name: str) -> AccountState:
        known = self._states.pop(name, None)
        state = self._states[name] = AccountState() if known is None else known
        if len(self._states) > MOST:
            del self._states[next(iter(self._states))]
        return state

    def clear(self) -> None:
        self._states.clear()
