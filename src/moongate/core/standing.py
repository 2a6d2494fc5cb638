"""How an account stands with its vendor: what is left of its plan, or of its money."""

from msgspec import Struct

SCARCE = 0.8
"""The used share of a quota from which on little is left."""


class Window(Struct, frozen=True):
    """A part of a plan's quota. `used` is a share, 1 for all of it; `resets_at` in seconds since 1970, None where the
    vendor does not say."""

    name: str
    used: float
    resets_at: float | None = None

    @property
    def is_exhausted(self) -> bool:
        return self.used >= 1

    @property
    def is_scarce(self) -> bool:
        return self.used >= SCARCE


class Standing(Struct, frozen=True):
    """What a vendor said at `asked_at` (seconds since 1970). `balance` is what may still be spent, in the currency of
    the vendor's region; None where there is none or it was not told. `plan` is the vendor's own word for it."""

    asked_at: float
    windows: tuple[Window, ...] = ()
    balance: float | None = None
    currency: str = ""
    plan: str = ""

    @property
    def money(self) -> str:
        return "" if self.balance is None else f"{self.balance:g} {self.currency}".rstrip()

    @property
    def is_broke(self) -> bool:
        """Nothing may be spent, and there is no plan that would serve all the same."""
        return self.balance is not None and self.balance <= 0 and not self.windows

    @property
    def used_up(self) -> tuple[Window, ...]:
        """The parts of the plan that keep it from serving: none where money beside it pays for what goes beyond."""
        return () if (self.balance or 0.0) > 0 else tuple(window for window in self.windows if window.is_exhausted)
