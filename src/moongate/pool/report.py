"""What can be told of the accounts: to the operator at the terminal, and to programs."""

from typing import Literal, TypeAlias

from msgspec import Struct

from moongate.core.standing import Standing

State: TypeAlias = Literal["ready", "busy", "resting", "trial", "out"]
"""`busy`: at a limit of ours. `resting`: will be asked again at `until`. `trial`: the next request tells whether its
rest is really over. `out`: not before something changed."""


class Rested(Struct, frozen=True, kw_only=True):
    """A part of an account that rests while others serve: `scope` is such as `model k3`."""

    scope: str
    kind: str
    reason: str
    until: float | None


class AccountReport(Struct, frozen=True, kw_only=True):
    """One account now. Moments in seconds since 1970, `credential` at most its last four characters, `kind` the code of
    what it rests for. `max_concurrency`: the operator's, or what the vendor told if that is less. `served` and `failed`
    count requests since the start."""

    name: str
    upstream: str
    credential: str
    state: State
    kind: str = ""
    reason: str = ""
    until: float | None = None
    leased: int = 0
    max_concurrency: int | None = None
    served: int = 0
    failed: int = 0
    resting: tuple[Rested, ...] = ()
    standing: Standing | None = None


class CheckReport(Struct, frozen=True, kw_only=True):
    """One account tried for real. `problem` is empty if all is well; `clock_skew` in seconds, ours minus theirs, None
    where they did not tell the time; `seconds` is how long the slowest call took."""

    name: str
    upstream: str
    credential: str
    problem: str = ""
    models: tuple[str, ...] = ()
    standing: Standing | None = None
    clock_skew: float | None = None
    seconds: float = 0.0
