"""What the platform says of an account's money, and how both products are asked."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.core.sealed import Sealed
from moongate.core.standing import Standing, Window
from moongate.upstreams.chat_api import ChatApi
from moongate.upstreams.kimi_code import kimi_code
from moongate.upstreams.moonshot import moonshot
from moongate.upstreams.moonshot.balance import read, reader
from moongate.upstreams.openai import provider
from moongate.wire.http import HttpHead, HttpReply

NOW = 1767600000.0
KEY = Sealed("sk-example-0123456789")
DATA = {"available_balance": 49.58894, "voucher_balance": 46.58893, "cash_balance": 3.00001}
PLATFORM = moonshot("https://api.moonshot.ai/v1", "moongate/test")
CODING = kimi_code("https://api.kimi.com/coding/v1", "moongate/test")


def said(value: Any) -> Standing:
    return read(json.dumps(value).encode(), NOW, "USD")


def replied(upstream: ChatApi, status: int, body: bytes) -> Standing | None:
    flow = upstream.standing(KEY)
    next(flow)
    with pytest.raises(StopIteration) as stop:
        flow.send(HttpReply(HttpHead(status), body))
    standing: Standing | None = stop.value.value
    return standing


@pytest.mark.parametrize(
    "answer",
    [
        {"code": 0, "data": DATA, "scode": "0x0", "status": True},
        {"data": DATA},
        DATA,
        {"code": "0", "data": {**DATA, "available_balance": "49.58894"}},
        {"code": None, "status": None, "error": None, "data": DATA},
    ],
)
def test_the_balance_is_read_with_and_without_its_envelope(answer: Any) -> None:
    assert said(answer) == Standing(NOW, balance=49.58894, currency="USD")


@pytest.mark.parametrize(
    ("data", "balance"),
    [
        ({"available_balance": -1.5}, -1.5),
        ({"available_balance": 0}, 0),
        ({"voucher_balance": 5, "cash_balance": -2}, 5),
        ({"voucher_balance": 5, "cash_balance": 2}, 7),
        ({"cash_balance": "2"}, 2),
    ],
)
def test_what_is_available_is_told_or_follows_from_its_parts(data: Any, balance: float) -> None:
    assert said({"data": data}).balance == balance


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"code": 5, "error": "url.not_found", "message": "没找到对象", "status": False}, "没找到对象"),
        ({"code": 7, "data": DATA, "status": True}, "no reason given"),
        ({"status": False, "data": DATA}, "no reason given"),
        ({"error": {"message": "no sk-example-0123456789"}}, "no [redacted]"),
    ],
)
def test_an_envelope_that_says_no_is_a_failure_with_its_reason(answer: Any, told: str) -> None:
    with pytest.raises(GatewayError) as failure:
        said(answer)
    assert failure.value.kind is Kind.FAILED
    assert failure.value.message.endswith(f": {told}")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"data":[]}', b'{"data":{"available_balance":"much"}}', b"[" * 100_000]
)
def test_what_is_no_balance_is_refused(body: bytes) -> None:
    with pytest.raises(GatewayError) as failure:
        read(body, NOW)
    assert failure.value.kind is Kind.PROTOCOL


@pytest.mark.parametrize(
    ("base_url", "currency"),
    [
        ("https://api.moonshot.ai/v1", "USD"),
        ("https://api.moonshot.cn/v1", "CNY"),
        ("https://API.MOONSHOT.CN:443/v1", "CNY"),
        ("http://127.0.0.1:9100/v1", ""),
        ("https://proxy.example/moonshot.cn/v1", ""),
    ],
)
def test_the_currency_is_the_regions(base_url: str, currency: str) -> None:
    assert reader(base_url)(json.dumps(DATA).encode(), NOW).currency == currency


def test_each_product_is_asked_in_its_own_place() -> None:
    for upstream, url in (
        (PLATFORM, "https://api.moonshot.ai/v1/users/me/balance"),
        (CODING, "https://api.kimi.com/coding/v1/usages"),
    ):
        call = next(upstream.standing(KEY))
        assert (call.method, call.url, call.body) == ("GET", url, b"")
        assert call.headers["accept"] == "application/json"
        assert call.headers["authorization"] == "Bearer sk-example-0123456789"


def test_an_answer_becomes_a_standing() -> None:
    money = replied(PLATFORM, 200, json.dumps({"code": 0, "data": DATA}).encode())
    assert money is not None
    assert (money.balance, money.currency) == (49.58894, "USD")
    plan = replied(CODING, 200, b'{"usages":{"limit_5h":{"used_ratio":0.5}}}')
    assert plan is not None
    assert plan.windows == (Window("5h", 0.5),)
    assert plan.asked_at > NOW


@pytest.mark.parametrize("status", [404, 405])
def test_a_place_that_has_no_such_page_tells_of_no_standing(status: int) -> None:
    assert replied(PLATFORM, status, b"") is None


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Kind.CREDENTIAL_REFUSED), (402, Kind.ACCOUNT_BARRED), (503, Kind.FAILED)]
)
def test_a_refusal_is_explained_without_the_credential(status: int, kind: Kind) -> None:
    flow = CODING.standing(KEY)
    next(flow)
    with pytest.raises(GatewayError) as failure:
        flow.send(HttpReply(HttpHead(status), b'{"error":{"message":"no sk-example-0123456789"}}'))
    assert failure.value.kind is kind
    assert "sk-example" not in failure.value.message


def test_other_vendors_are_not_asked() -> None:
    with pytest.raises(StopIteration) as stop:
        next(provider("other", "https://other.example/v1", "moongate/test").standing(KEY))
    assert stop.value.value is None


def test_models_that_share_a_quota_are_of_one_group() -> None:
    groups = [CODING.group(name) for name in ("kimi-for-coding", "k3", "kimi-for-coding-highspeed", "")]
    assert groups == ["plan", "plan", "highspeed", "plan"]
    assert PLATFORM.group("kimi-k3") == PLATFORM.group("kimi-k2.6-highspeed")


def test_the_same_settings_make_the_same_upstream() -> None:
    assert moonshot("https://api.moonshot.ai/v1", "moongate/test") == PLATFORM
    assert kimi_code("https://api.kimi.com/coding/v1", "moongate/test") == CODING
    assert moonshot("https://api.moonshot.cn/v1", "moongate/test") != PLATFORM


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
        lambda inner: (
            st.dictionaries(
                st.sampled_from(["code", "data", "status", "error", "available_balance", "cash_balance"]),
                inner,
                max_size=4,
            )
            | st.lists(inner, max_size=2)
        ),
        max_leaves=8,
    )
    .map(json.dumps)
    .map(str.encode)
    | st.binary(max_size=40)
)
def test_any_answer_is_a_balance_or_refused(body: bytes) -> None:
    try:
        standing = read(body, NOW)
    except GatewayError:
        return
    assert standing.balance is not None
    assert abs(standing.balance) < float("inf")
