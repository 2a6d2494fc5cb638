"""What a vendor tells of an account apart from answers: money (platform), quota and owner (Kimi Code).

Sources: the platform's documents for the balance; for `/usages` the old shape as recorded until 2026-08, the new one as
seen live in 2026-09. Both may come at once; the wallet comes with either.
"""

from datetime import UTC, datetime
from typing import Final

from moongate.simulator.accounts import AccountState, Booster, QuotaWindow
from moongate.simulator.knobs import Knobs
from moongate.simulator.values import JsonObject

NEW_NAMES: Final = {
    "5h": "limit_5h",
    "7d": "limit_7d",
    "month_total": "limit_month_total",
    "month_code": "limit_month_code",
}
_UNITS_A_CENT: Final = 1_000_000


def balance(state: AccountState) -> JsonObject:
    data = {"available_balance": state.available, "voucher_balance": state.voucher, "cash_balance": state.balance}
    return {"code": 0, "data": data, "scode": "0x0", "status": True}


def usages(state: AccountState, knobs: Knobs, now: float) -> JsonObject:
    for window in state.windows.values():
        window.roll(now)
    body: JsonObject = {"user": {"membership": {"level": state.plan}}}
    if knobs.usages_shape in ("old", "both"):
        body |= _old(state)
    if knobs.usages_shape in ("new", "both"):
        windows = {NEW_NAMES[name]: window for name, window in state.windows.items() if name in NEW_NAMES}
        body["usages"] = {name: _ratio(window, as_text=knobs.ratio_as_text) for name, window in windows.items()}
    if state.booster is not None:
        body["boosterWallet"] = _wallet(state.booster)
    return body


def me(state: AccountState) -> JsonObject:
    level: JsonObject = {"user_level": 30, "user_level_name": state.plan, "domain": 1, "domain_name": "kimi"}
    return {
        "user_id": "user-example",
        "nickname": "example",
        "status": "USER_STATUS_NORMAL",
        "region": "REGION_CN",
        **level,
    }


def _old(state: AccountState) -> JsonObject:
    """The week on top, shorter windows in a list; all numbers are texts."""
    body: JsonObject = {}
    if week := state.windows.get("7d"):
        body["usage"] = _counts(week)
    if hours := state.windows.get("5h"):
        window = {"duration": 300, "timeUnit": "TIME_UNIT_MINUTE"}
        body["limits"] = [{"window": window, "detail": _counts(hours)}]
    return body


def _counts(window: QuotaWindow) -> JsonObject:
    """`used` has been seen to be missing where nothing was."""
    counts: JsonObject = {"limit": str(window.limit), "remaining": str(max(0, window.limit - window.used))}
    used: JsonObject = {"used": str(window.used)} if window.used else {}
    return {**counts, **used, "resetTime": f"{_time(window)}.716839300Z"}


def _ratio(window: QuotaWindow, *, as_text: bool) -> JsonObject:
    share = min(1.0, window.used / window.limit) if window.limit else 1.0
    return {"used_ratio": str(share) if as_text else share, "reset_time": f"{_time(window)}Z"}


def _wallet(booster: Booster) -> JsonObject:
    """Its content is in millionths of a cent, its limit for a month in cents."""
    content: JsonObject = {
        "type": "BOOSTER",
        "amount": _units(booster.amount),
        "amountLeft": _units(booster.left),
        "unit": "UNIT_CURRENCY",
    }
    limit = booster.monthly_limit
    wallet: JsonObject = {"id": "wallet-example", "balance": content, "monthlyChargeLimitEnabled": limit is not None}
    if limit is not None:
        wallet["monthlyChargeLimit"] = _price(booster.currency, limit)
    return {**wallet, "monthlyUsed": _price(booster.currency, booster.monthly_used)}


def _units(cents: float) -> str:
    return str(round(cents * _UNITS_A_CENT))


def _price(currency: str, cents: int) -> JsonObject:
    return {"currency": currency, "priceInCents": str(cents)}


def _time(window: QuotaWindow) -> str:
    return datetime.fromtimestamp(window.resets_at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
