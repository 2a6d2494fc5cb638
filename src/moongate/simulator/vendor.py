"""What a vendor tells of an account apart from answers: money (platform), quota and owner (Kimi Code).

Sources: the platform's documents for the balance; for `/usages` the old shape as recorded until 2026-08, the new one as
seen live in 2026-09. Both may come at once.
"""

from datetime import UTC, datetime
from typing import Final, Literal

from moongate.simulator.accounts import AccountState, QuotaWindow
from moongate.simulator.values import JsonObject

Shape = Literal["old", "new", "both"]

NEW_NAMES: Final = {
    "5h": "limit_5h",
    "7d": "limit_7d",
    "month_total": "limit_month_total",
    "month_code": "limit_month_code",
}


def balance(state: AccountState) -> JsonObject:
    data = {"available_balance": state.balance, "voucher_balance": 0.0, "cash_balance": state.balance}
    return {"code": 0, "data": data, "scode": "0x0", "status": True}


def usages(state: AccountState, shape: Shape, now: float) -> JsonObject:
    for window in state.windows.values():
        window.roll(now)
    body: JsonObject = {"user": {"membership": {"level": state.plan}}}
    if shape in ("old", "both"):
        body |= _old(state)
    if shape in ("new", "both"):
        body["usages"] = {
            NEW_NAMES[name]: _ratio(window) for name, window in state.windows.items() if name in NEW_NAMES
        }
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


def _ratio(window: QuotaWindow) -> JsonObject:
    share = min(1.0, window.used / window.limit) if window.limit else 1.0
    return {"used_ratio": share, "reset_time": f"{_time(window)}Z"}


def _time(window: QuotaWindow) -> str:
    return datetime.fromtimestamp(window.resets_at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
