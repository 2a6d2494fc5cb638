"""Reads Kimi Code's `GET /usages`: how much of each window of a membership is used.

Two shapes are about, alone and together. The older counts: `usage` is the week, each of `limits` has a `window` of so
many minutes and a `detail` of `limit`, `used` and `remaining` in decimal text, of which any may be missing (recorded
2026-01 to 2026-09; other spellings are those the official client takes too). The newer tells shares:
`usages.limit_7d.used_ratio` (2026-09). It is the finer one and wins where both speak of a window, but for its 0: that
was seen (2026-09-29) beside a five-hour window that had been used.

`boosterWallet` is money for what goes beyond the plan. It is told as the balance where something is left of it, and
otherwise not at all: to have bought none is no reason not to be served.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import msgspec
from msgspec import Struct, structs

from moongate.core.errors import GatewayError
from moongate.core.standing import Standing, Window
from moongate.wire.moments import moment
from moongate.wire.numbers import number

PATH = "/usages"

SHARES = {"limit_5h": "5h", "limit_7d": "7d", "limit_month_total": "month", "limit_month_code": "month code"}
ORDER = tuple(SHARES.values())

MINUTES = {"MINUTE": 1, "HOUR": 60, "DAY": 24 * 60, "WEEK": 7 * 24 * 60}
LENGTHS = {5 * 60.0: "5h", 7 * 24 * 60.0: "7d"}
DURATIONS = range(1, 100_000)
SIZES = ((24 * 60, "d"), (60, "h"), (1, "min"))

NAMED = (
    (re.compile(r"\b5[ -]?h", re.IGNORECASE), "5h"),
    (re.compile(r"\bweek|\b7[ -]?d", re.IGNORECASE), "7d"),
    (re.compile(r"\bmonth.*\bcod|\bcod.*\bmonth", re.IGNORECASE), "month code"),
    (re.compile(r"\bmonth", re.IGNORECASE), "month"),
)
"""What a window's own name says of it, where it does not say how long it is."""

RESET_AT = ("resetTime", "reset_time", "resetAt", "reset_at")
RESET_IN = ("reset_in", "resetIn", "ttl")

UNUSABLE = re.compile(r"DISABLED|FROZEN|UNAVAILABLE")
"""States of a wallet from which nothing is taken."""

LATEST = 400 * 24 * 3600.0
"""Seconds ahead beyond which a moment is no reset of a window."""

MOST_WINDOWS = 20

Members: TypeAlias = Mapping[str, object]

_object = msgspec.json.Decoder(dict[str, object]).decode


def read(body: bytes, now: float) -> Standing:
    """An entry that cannot be read is left out. Raises GatewayError (PROTOCOL) where nothing can."""
    try:
        said = _object(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GatewayError.protocol("the upstream's word on usage cannot be read") from error
    entries = [*_counted(said), *_shared(said)]
    windows: dict[str, Window] = {}
    for name, entry in entries:
        window = _window(name, entry, now)
        if window is not None:
            windows[name] = _finer(window, windows.get(name))
    if not windows and (entries or not said.keys() & {"usage", "limits", "usages"}):
        raise GatewayError.protocol("the upstream's word on usage names no window that can be read")
    money = _extra(_members(said.get("boosterWallet")))
    return Standing(
        now,
        windows=tuple(sorted(windows.values(), key=_place))[:MOST_WINDOWS],
        balance=money.amount if money else None,
        currency=money.currency if money else "",
        plan=_word(_members(_members(said.get("user")).get("membership")).get("level")).removeprefix("LEVEL_"),
    )


def _counted(said: Members) -> Iterator[tuple[str, Members]]:
    """The windows of the older shape by their names, as (name, what is told of it)."""
    if week := _members(said.get("usage")):
        yield _name(week) or "7d", week
    limits = said.get("limits")
    for place, item in enumerate(limits if isinstance(limits, list) else (), start=1):
        if entry := _members(item):
            told = {**entry, **_members(entry.get("detail"))}
            yield _length(told) or _name(told) or f"limit {place}", told


def _shared(said: Members) -> Iterator[tuple[str, Members]]:
    """Those of the newer shape."""
    for key, value in _members(said.get("usages")).items():
        if entry := _members(value):
            yield SHARES.get(key) or _word(key).removeprefix("limit_").replace("_", " "), entry


def _window(name: str, entry: Members, now: float) -> Window | None:
    used = _used(entry)
    return None if used is None or not name else Window(name, max(0.0, used), _resets_at(entry, now))


def _used(entry: Members) -> float | None:
    """The share, told as such or to be counted; None for what is none."""
    ratio, limit, used, remaining = _numbers(entry, "used_ratio", "limit", "used", "remaining")
    if ratio is not None:
        return ratio if ratio <= 2 else None  # a percentage, perhaps; taken for a share it would bar the account
    if limit is None or limit <= 0:
        return None
    if used is None:
        used = None if remaining is None else limit - remaining
    return None if used is None else number(used / limit)


def _resets_at(entry: Members, now: float) -> float | None:
    told = next((at for name in RESET_AT if (at := moment(entry.get(name))) is not None), None)
    if told is None:
        seconds = next((each for each in _numbers(entry, *RESET_IN) if each is not None), None)
        told = None if seconds is None else now + seconds
    return told if told is not None and 0 < told < now + LATEST else None


def _finer(window: Window, before: Window | None) -> Window:
    """What is said later of a window wins, but for what it leaves open."""
    if before is None:
        return window
    resets_at = before.resets_at if window.resets_at is None else window.resets_at
    return structs.replace(window, used=window.used or before.used, resets_at=resets_at)


def _length(entry: Members) -> str:
    """A window's name by how long it is; empty where that is not told."""
    told = {**entry, **_members(entry.get("window"))}
    (duration,) = _numbers(told, "duration")
    unit = _word(told.get("timeUnit") or told.get("time_unit")).upper().removeprefix("TIME_UNIT_")
    if unit == "MONTH" and duration == 1:
        return "month"
    if duration is None or duration not in DURATIONS or unit not in MINUTES:
        return ""
    minutes = duration * MINUTES[unit]
    return LENGTHS.get(minutes) or next(f"{minutes / size:g}{mark}" for size, mark in SIZES if not minutes % size)


def _name(entry: Members) -> str:
    told = next((word for name in ("name", "title", "scope") if (word := _word(entry.get(name)))), "")
    return next((name for pattern, name in NAMED if pattern.search(told)), told)


def _place(window: Window) -> int:
    return ORDER.index(window.name) if window.name in ORDER else len(ORDER)


class Money(Struct, frozen=True):
    amount: float
    currency: str


def _extra(wallet: Members) -> Money | None:
    """What may still be spent beyond the plan; None where nothing may. Amounts are in millionths of a cent, those of
    the monthly limit in cents."""
    (left,) = _numbers(_members(wallet.get("balance")), "amountLeft")
    limit, spent = _members(wallet.get("monthlyChargeLimit")), _members(wallet.get("monthlyUsed"))
    if left is None or UNUSABLE.search(_word(wallet.get("status"))):
        return None
    cents = left / 1e6
    (at_most,), (already,) = _numbers(limit, "priceInCents"), _numbers(spent, "priceInCents")
    if wallet.get("monthlyChargeLimitEnabled") is True and at_most is not None:
        cents = min(cents, at_most - (already or 0.0))
    return Money(cents / 100, _word(limit.get("currency") or spent.get("currency"))) if cents > 0 else None


def _members(value: object) -> Members:
    return value if isinstance(value, dict) else {}


def _numbers(entry: Members, *names: str) -> Iterable[float | None]:
    return tuple(number(entry.get(name)) for name in names)


def _word(value: object) -> str:
    """A vendor's word as it can be shown: on one line, without what would move a terminal's cursor."""
    return "".join(letter for letter in value if letter.isprintable())[:40] if isinstance(value, str) else ""
