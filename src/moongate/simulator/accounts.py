"""What the simulated vendor holds about each account: money, quota windows, limits, and whether it is let in at all.

An account is known by its credential, one that logs in by its login, whatever token it shows at the moment. Everything
is allowed until a test says otherwise.
"""

from collections import deque
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from moongate.simulator.models import Product
from moongate.simulator.refusals import CATALOGUE, Refusal, model_not_found, plan_lacks, rated

MINUTE: Final = 60.0
MOST: Final = 2000
"""Accounts remembered; the oldest are forgotten."""

TEXTS: Final = {"5h": "five_hour_quota", "7d": "weekly_quota"}
"""The refusal for each window that is full; the others are billing cycles."""


class QuotaWindow(msgspec.Struct):
    """`limit` and `used` count requests; it starts anew at `resets_at` (seconds since 1970) for another `length`."""

    limit: int
    used: int = 0
    resets_at: float = 0.0
    length: float = 18000.0

    def roll(self, now: float) -> None:
        if self.resets_at <= 0:
            self.resets_at = now + self.length
        while self.resets_at <= now:
            self.resets_at += self.length
            self.used = 0

    @property
    def is_full(self) -> bool:
        return self.used >= self.limit


class AccountState(msgspec.Struct, eq=False):
    """`barred` names a row of the catalogue that answers every call. `highspeed_windows` are those of models
    `*-highspeed`, None where they share the plan's. `peak` is the most requests it ever had at a time."""

    balance: float = 100.0
    plan: str = "LEVEL_INTERMEDIATE"
    windows: dict[str, QuotaWindow] = msgspec.field(default_factory=dict)
    highspeed_windows: dict[str, QuotaWindow] | None = None
    max_concurrency: int | None = None
    rpm: int | None = None
    retry_after_header: bool = False
    barred: str | Refusal | None = None
    models: frozenset[str] | None = None
    peak: int = 0
    active: int = 0
    recent: deque[float] = msgspec.field(default_factory=deque)

    def barring(self) -> Refusal | None:
        return CATALOGUE[self.barred] if isinstance(self.barred, str) else self.barred

    def refuses(self, product: Product, model: str, now: float) -> Refusal | None:
        """Why a chat request is not served, if it is not."""
        if self.models is not None and model not in self.models:
            return model_not_found(model) if product is Product.PLATFORM else plan_lacks(model)
        if product is Product.PLATFORM and self.balance <= 0:
            return CATALOGUE["insufficient_balance"]
        for name, window in self._windows_of(model).items():
            window.roll(now)
            if window.is_full:
                return CATALOGUE[TEXTS.get(name, "billing_cycle_quota")]
        return self._too_many(now)

    def count(self, model: str, now: float) -> None:
        """A request is served."""
        self.recent.append(now)
        for window in self._windows_of(model).values():
            window.used += 1

    def begin(self) -> None:
        self.active += 1
        self.peak = max(self.peak, self.active)

    def end(self) -> None:
        self.active -= 1

    def _windows_of(self, model: str) -> dict[str, QuotaWindow]:
        own = self.highspeed_windows
        return own if own is not None and fnmatchcase(model, "*-highspeed") else self.windows

    def _too_many(self, now: float) -> Refusal | None:
        if self.max_concurrency is not None and self.active >= self.max_concurrency:
            return self._rated(f"request reached organization max concurrency: {self.max_concurrency}", 1)
        while self.recent and self.recent[0] <= now - MINUTE:
            self.recent.popleft()
        if self.rpm is not None and len(self.recent) >= self.rpm:
            wait = max(1, round(self.recent[0] + MINUTE - now))
            return self._rated(f"request reached organization max RPM: {self.rpm}", wait)
        return None

    def _rated(self, what: str, seconds: int) -> Refusal:
        return rated(what, seconds, {"Retry-After": str(seconds)} if self.retry_after_header else {})


class Accounts:
    """By the name of whoever asks: a key, or a login."""

    def __init__(self) -> None:
        self._states: dict[str, AccountState] = {}

    def of(self, name: str) -> AccountState:
        state = self._states.get(name)
        if state is None:
            state = self._states[name] = AccountState()
            if len(self._states) > MOST:
                del self._states[next(iter(self._states))]
        return state

    def clear(self) -> None:
        self._states.clear()
