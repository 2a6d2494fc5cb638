"""What Kimi Code says of a membership's windows is understood in every shape that was seen."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.core.standing import Standing, Window
from moongate.upstreams.kimi_code.usages import read

NOW = 1767600000.0

COUNTED = {
    "usage": {"limit": "2048", "used": "214", "remaining": "1834", "resetTime": "2026-01-09T15:23:13.716839300Z"},
    "limits": [
        {
            "window": {"duration": 300, "timeUnit": "TIME_UNIT_MINUTE"},
            "detail": {"limit": "200", "used": "139", "remaining": "61", "resetTime": "2026-01-06T13:33:02.717479433Z"},
        }
    ],
}
SHARED = {
    "usages": {
        "limit_5h": {"used_ratio": 0.1, "reset_time": "2026-01-05T12:00:00Z"},
        "limit_7d": {"used_ratio": "0.4", "reset_time": "2026-01-07T12:00:00Z"},
        "limit_month_total": {"used_ratio": 0.2, "reset_time": "2026-01-31T12:00:00Z"},
        "limit_month_code": {"used_ratio": 0.15},
    },
    "user": {"membership": {"level": "LEVEL_ADVANCED"}},
}
WALLET = {
    "balance": {"type": "BOOSTER", "amount": "20000000000", "amountLeft": "10000000000", "unit": "UNIT_CURRENCY"},
    "monthlyChargeLimitEnabled": False,
    "monthlyChargeLimit": {"currency": "USD", "priceInCents": "20000"},
    "monthlyUsed": {"currency": "USD", "priceInCents": "19000"},
}


def said(*parts: Any, **more: Any) -> Standing:
    merged = {name: value for part in parts for name, value in part.items()} | more
    return read(json.dumps(merged).encode(), NOW)


def windows(*parts: Any, **more: Any) -> dict[str, float]:
    return {window.name: round(window.used, 4) for window in said(*parts, **more).windows}


def limit(**fields: Any) -> Any:
    return {"limits": [{"limit": "100", "used": "25", **fields}]}


def test_the_older_shape_is_counted() -> None:
    assert said(COUNTED) == Standing(
        NOW, (Window("5h", 139 / 200, 1767706382.717479), Window("7d", 214 / 2048, 1767972193.716839))
    )


def test_the_newer_shape_is_read() -> None:
    assert said(SHARED) == Standing(
        NOW,
        (
            Window("5h", 0.1, 1767614400.0),
            Window("7d", 0.4, 1767787200.0),
            Window("month", 0.2, 1769860800.0),
            Window("month code", 0.15),
        ),
        plan="ADVANCED",
    )


def test_where_both_shapes_are_there_each_window_is_told_once_and_the_newer_wins() -> None:
    assert windows(COUNTED, SHARED) == {"5h": 0.1, "7d": 0.4, "month": 0.2, "month code": 0.15}


def test_a_share_of_nothing_beside_a_window_that_was_used_is_not_believed() -> None:
    assert windows(COUNTED, usages={"limit_5h": {"used_ratio": 0}})["5h"] == 0.695
    assert windows(usages={"limit_5h": {"used_ratio": 0}}) == {"5h": 0.0}


def test_what_the_newer_shape_leaves_open_the_older_may_tell() -> None:
    (window,) = said(limits=COUNTED["limits"], usages={"limit_5h": {"used_ratio": 0.7}}).windows
    assert window == Window("5h", 0.7, 1767706382.717479)


@pytest.mark.parametrize(
    ("detail", "used"),
    [
        ({"limit": "100", "remaining": "100"}, 0),
        ({"limit": "100", "remaining": "25"}, 0.75),
        ({"limit": 100, "used": 30}, 0.3),
        ({"limit": "100", "used": "130"}, 1.3),
        ({"limit": "100", "remaining": "130"}, 0),
        ({"usedRatio": 1, "used_ratio": "0.5"}, 0.5),
    ],
)
def test_the_share_is_counted_from_what_is_told(detail: Any, used: float) -> None:
    assert windows(usage=detail) == {"7d": used}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"window": {"duration": 300, "timeUnit": "TIME_UNIT_MINUTE"}}, "5h"),
        ({"window": {"duration": "5", "timeUnit": "HOUR"}}, "5h"),
        ({"window": {"duration": 7, "timeUnit": "TIME_UNIT_DAY"}}, "7d"),
        ({"duration": 1, "timeUnit": "TIME_UNIT_WEEK"}, "7d"),
        ({"window": {"duration": 1, "timeUnit": "TIME_UNIT_MONTH"}}, "month"),
        ({"window": {"duration": 24, "timeUnit": "HOUR"}}, "1d"),
        ({"window": {"duration": 90, "timeUnit": "MINUTE"}}, "90min"),
        ({"window": {"duration": 0, "timeUnit": "MINUTE"}, "name": "Weekly limit"}, "7d"),
        ({"window": {"duration": 1e308, "timeUnit": "WEEK"}, "title": "5-hour limit"}, "5h"),
        ({"scope": "Monthly coding quota"}, "month code"),
        ({"title": "Monthly"}, "month"),
        ({"name": "Daily cap"}, "Daily cap"),
        ({"name": "", "title": None, "scope": "x\x1b[2J\n"}, "x[2J"),
        ({}, "limit 1"),
    ],
)
def test_a_window_is_called_by_its_length_or_by_its_own_name(fields: Any, name: str) -> None:
    assert windows(limit(**fields)) == {name: 0.25}


def test_a_window_of_the_newer_shape_that_nobody_knows_keeps_its_name() -> None:
    assert windows(usages={"limit_1d_video": {"used_ratio": 0.5}}) == {"1d video": 0.5}


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"reset_at": "2026-01-05T12:00:00Z"}, 1767614400.0),
        ({"resetAt": "2026-01-05T12:00:00+00:00"}, 1767614400.0),
        ({"reset_time": "2026-01-05T12:00:00"}, 1767614400.0),
        ({"resetTime": 1767614400}, 1767614400.0),
        ({"resetTime": 1767614400000}, 1767614400.0),
        ({"reset_in": 60}, NOW + 60),
        ({"ttl": "60"}, NOW + 60),
        ({"resetTime": "soon", "ttl": 60}, NOW + 60),
        ({"resetTime": "0001-01-01T00:00:00Z"}, None),
        ({"resetTime": "9999-12-31T23:59:59Z"}, None),
        ({"reset_in": 1e300}, None),
        ({"reset_in": -1e300}, None),
        ({}, None),
    ],
)
def test_a_reset_is_read_under_each_of_its_names(fields: Any, at: float | None) -> None:
    (window,) = said(limit(**fields)).windows
    assert window.resets_at == at


ODD: list[Any] = [
    {"limit": "0", "used": "0"},
    {"limit": "many", "used": "1"},
    {"limit": "100"},
    {"used_ratio": 40},
    {"used_ratio": "nan"},
    {"used_ratio": True},
]


@pytest.mark.parametrize("odd", ODD)
def test_an_entry_that_cannot_be_read_is_left_out_and_alone_it_is_refused(odd: Any) -> None:
    assert windows(usage=odd, usages={"limit_5h": {"used_ratio": 0.1}}) == {"5h": 0.1}
    with pytest.raises(GatewayError) as failure:
        said(usage=odd)
    assert failure.value.kind is Kind.PROTOCOL


@pytest.mark.parametrize("empty", [{"usages": {}}, {"limits": []}, {"usages": {"limit_5h": None}}, {"usage": None}])
def test_a_membership_without_windows_has_none(empty: Any) -> None:
    assert said(empty, SHARED["user"], user=SHARED["user"]) == Standing(NOW, plan="ADVANCED")


@pytest.mark.parametrize(
    ("wallet", "balance"),
    [
        (WALLET, 100.0),
        ({**WALLET, "monthlyChargeLimitEnabled": True}, 10.0),
        ({**WALLET, "monthlyChargeLimitEnabled": True, "monthlyUsed": {"priceInCents": "20000"}}, None),
        ({**WALLET, "status": "STATUS_DISABLED"}, None),
        ({**WALLET, "status": "STATUS_ACTIVE"}, 100.0),
        ({**WALLET, "balance": {"type": "BOOSTER", "amountLeft": "0"}}, None),
        ({"status": "STATUS_DISABLED", "balance": {"type": "BOOSTER"}}, None),
        (None, None),
        ([], None),
    ],
)
def test_money_beyond_the_plan_is_a_balance_only_where_some_may_be_spent(wallet: Any, balance: float | None) -> None:
    standing = said(SHARED, boosterWallet=wallet)
    assert (standing.balance, standing.currency) == (balance, "USD" if balance else "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"null",
        b'{"error":{"message":"no"}}',
        b'{"user":{}}',
        b'{"usage":"\xff"}',
        b'{"usages":1e400}',
        b'{"usages":' + b"[" * 100_000,
    ],
)
def test_what_is_no_word_on_usage_is_refused(body: bytes) -> None:
    with pytest.raises(GatewayError) as failure:
        read(body, NOW)
    assert failure.value.kind is Kind.PROTOCOL


NAMES = [
    "usage",
    "usages",
    "limits",
    "limit",
    "used",
    "remaining",
    "used_ratio",
    "resetTime",
    "reset_in",
    "window",
    "duration",
    "timeUnit",
    "detail",
    "name",
    "limit_5h",
    "limit_7d",
    "boosterWallet",
    "balance",
    "amountLeft",
    "monthlyChargeLimit",
    "priceInCents",
    "currency",
    "user",
    "membership",
    "level",
]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
words = st.sampled_from(["100", "0.5", "-1", "inf", "TIME_UNIT_MINUTE", "2026-01-09T15:23:13.716839300Z", "1" * 500])
values: st.SearchStrategy[object] = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)
objects = st.dictionaries(st.sampled_from(NAMES), values, max_size=5)


@given(objects.map(json.dumps).map(str.encode) | values.map(json.dumps).map(str.encode) | st.binary(max_size=60))
def test_any_answer_is_a_standing_or_refused(body: bytes) -> None:
    try:
        standing = read(body, NOW)
    except GatewayError:
        return
    for window in standing.windows:
        assert window.name.isprintable()
        assert 0 <= window.used < float("inf")
        assert window.resets_at is None or 0 < window.resets_at < NOW * 2
    assert standing.balance is None or 0 < standing.balance < float("inf")
