"""How an account stands with its vendor: what is left of its plan, or of its money."""

from msgspec import Struct


class Window(Struct, frozen=True):
    """A part of a plan's quota. `used` is a share, 1 for all of it; `resets_at` in seconds since 1970, None where the
    vendor does not say."""

    name: str
    used: float
    resets_at: float | None = None

    @property
    def is_exhausted(self) -> bool:
        return self.used >= 1


class Standing(Struct, frozen=True):
    """What a vendor said at `asked_at` (seconds since 1970). `balance` is what may still be spent, in the currency of
    the vendor's region; None where there is none or it was not told. `plan` is the vendor's own word for it."""

    asked_at: float
    windows: tuple[Window, ...] = ()
    balance: float | None = None
    currency: str = ""
    plan: str = ""
