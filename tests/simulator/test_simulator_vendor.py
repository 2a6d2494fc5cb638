"""What the vendor tells of money, quota and owner, in each shape it was seen to use."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from moongate.simulator import CATALOGUE, Refusal, Script, Simulator
from moongate.simulator.accounts import AccountState, Booster, QuotaWindow
from moongate.simulator.knobs import Knobs
from moongate.simulator.vendor import usages

KEY = "sk-example-1234"
CODE_KEY = "sk-kimi-example-5678"
RESET = 2_000_000_000.0
TIME = "2033-05-18T03:33:20"


@pytest.fixture
def told(sim: Simulator, session):
    """The JSON that a route tells this account, after its status was checked."""

    async def told_(path, key=CODE_KEY, status=200):
        async with session.get(sim.url + path, headers={"Authorization": f"Bearer {key}"}) as response:
            assert response.status == status
            return await response.json()

    return told_


@pytest.mark.parametrize(
    ("cash", "voucher", "available"),
    [(3.00001, 46.58893, 49.58894), (-2.5, 5.0, 5.0), (-2.5, 0.0, 0.0), (0.0, 0.0, 0.0)],
)
async def test_the_balance_is_told_with_debts_kept_apart_from_vouchers(told, sim, cash, voucher, available):
    sim.account(KEY).balance, sim.account(KEY).voucher = cash, voucher
    assert await told("/v1/users/me/balance", KEY) == {
        "code": 0,
        "data": {
            "available_balance": pytest.approx(available),
            "voucher_balance": voucher,
            "cash_balance": cash,
        },
        "scode": "0x0",
        "status": True,
    }


def windows(used=1):
    return {
        "5h": QuotaWindow(limit=200, used=used, resets_at=RESET),
        "7d": QuotaWindow(limit=2048, used=2048, resets_at=RESET, length=604800.0),
        "month_total": QuotaWindow(limit=10, used=2, resets_at=RESET),
        "month_code": QuotaWindow(limit=10, used=1, resets_at=RESET),
        "of our own": QuotaWindow(limit=10, used=1, resets_at=RESET),
    }


OLD = {
    "usage": {"limit": "2048", "used": "2048", "remaining": "0", "resetTime": f"{TIME}.716839300Z"},
    "limits": [
        {
            "window": {"duration": 300, "timeUnit": "TIME_UNIT_MINUTE"},
            "detail": {"limit": "200", "used": "1", "remaining": "199", "resetTime": f"{TIME}.716839300Z"},
        }
    ],
}
NEW = {
    "usages": {
        "limit_5h": {"used_ratio": 0.005, "reset_time": f"{TIME}Z"},
        "limit_7d": {"used_ratio": 1.0, "reset_time": f"{TIME}Z"},
        "limit_month_total": {"used_ratio": 0.2, "reset_time": f"{TIME}Z"},
        "limit_month_code": {"used_ratio": 0.1, "reset_time": f"{TIME}Z"},
    }
}
USER = {"user": {"membership": {"level": "LEVEL_INTERMEDIATE"}}}


@pytest.mark.parametrize(("shape", "body"), [("old", OLD | USER), ("new", NEW | USER), ("both", OLD | NEW | USER)])
async def test_usages_come_in_the_old_shape_the_new_one_or_both(told, sim, shape, body):
    sim.account(CODE_KEY).windows = windows()
    sim.knobs.usages_shape = shape
    assert await told("/coding/v1/usages") == body


async def test_shares_may_come_as_texts(told, sim):
    sim.account(CODE_KEY).windows = windows()
    sim.knobs.ratio_as_text = True
    assert (await told("/coding/v1/usages"))["usages"]["limit_5h"]["used_ratio"] == "0.005"


async def test_what_is_unused_is_left_out_of_the_old_shape(told, sim):
    sim.account(CODE_KEY).windows = windows(used=0)
    body = await told("/coding/v1/usages")
    assert body["limits"][0]["detail"].keys() == {"limit", "remaining", "resetTime"}
    assert body["usages"]["limit_5h"]["used_ratio"] == 0


async def test_an_account_without_windows_tells_of_none(told):
    assert await told("/coding/v1/usages") == {**USER, "usages": {}}


def test_a_window_that_is_over_is_told_as_new():
    state = AccountState(windows={"5h": QuotaWindow(limit=4, used=4, resets_at=RESET, length=100.0)})
    body = usages(state, Knobs(usages_shape="new"), RESET + 20)
    assert body["usages"] == {"limit_5h": {"used_ratio": 0.0, "reset_time": "2033-05-18T03:35:00Z"}}


@pytest.mark.parametrize("shape", ["old", "new", "both"])
async def test_the_wallet_is_told_in_millionths_of_a_cent_whatever_the_shape(told, sim, shape):
    sim.knobs.usages_shape = shape
    sim.account(CODE_KEY).booster = Booster(left=10000, amount=20000, monthly_limit=20000, monthly_used=5000)
    assert (await told("/coding/v1/usages"))["boosterWallet"] == {
        "id": "wallet-example",
        "balance": {
            "type": "BOOSTER",
            "amount": "20000000000",
            "amountLeft": "10000000000",
            "unit": "UNIT_CURRENCY",
        },
        "monthlyChargeLimitEnabled": True,
        "monthlyChargeLimit": {"currency": "USD", "priceInCents": "20000"},
        "monthlyUsed": {"currency": "USD", "priceInCents": "5000"},
    }


async def test_a_wallet_without_a_monthly_limit_says_so(told, sim):
    sim.account(CODE_KEY).booster = Booster(left=0.5, amount=1, currency="CNY")
    wallet = (await told("/coding/v1/usages"))["boosterWallet"]
    assert wallet["monthlyChargeLimitEnabled"] is False
    assert "monthlyChargeLimit" not in wallet
    assert wallet["balance"]["amountLeft"] == "500000"
    assert wallet["monthlyUsed"] == {"currency": "CNY", "priceInCents": "0"}


async def test_usage_is_told_by_the_same_windows_that_refuse(ask, told, sim):
    sim.account(CODE_KEY).windows = {"5h": QuotaWindow(limit=1)}
    assert [(await ask(code=True)).status for _ in range(2)] == [200, 403]
    assert (await told("/coding/v1/usages"))["usages"]["limit_5h"]["used_ratio"] == 1


async def test_kimi_code_tells_who_the_owner_is(told, sim):
    sim.account(CODE_KEY).plan = "LEVEL_ADVANCED"
    body = await told("/coding/v1/me")
    assert (body["user_id"], body["status"], body["user_level_name"]) == (
        "user-example",
        "USER_STATUS_NORMAL",
        "LEVEL_ADVANCED",
    )


ELSEWHERE = [
    ("GET", "/v1/usages", KEY),
    ("GET", "/v1/me", KEY),
    ("GET", "/coding/v1/users/me/balance", CODE_KEY),
    ("POST", "/coding/v1/usages", CODE_KEY),
    ("POST", "/v1/users/me/balance", KEY),
    ("DELETE", "/coding/v1/me", CODE_KEY),
    ("HEAD", "/v1/users/me/balance", KEY),
    ("GET", "/v1/chat/completions", KEY),
    ("GET", "/api/oauth/token", KEY),
]


@pytest.mark.parametrize(("method", "path", "key"), ELSEWHERE)
async def test_what_one_product_tells_the_other_does_not_know_nor_any_other_method(sim, session, method, path, key):
    async with session.request(method, sim.url + path, headers={"Authorization": f"Bearer {key}"}) as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("path", "key"), [("/v1/users/me/balance", CODE_KEY), ("/coding/v1/usages", KEY), ("/coding/v1/me", KEY)]
)
async def test_the_other_products_key_is_a_401(told, path, key):
    assert "message" in (await told(path, key, 401))["error"]


@pytest.mark.parametrize(
    ("on", "path", "key"),
    [
        ("models", "/v1/models", KEY),
        ("balance", "/v1/users/me/balance", KEY),
        ("usages", "/coding/v1/usages", CODE_KEY),
        ("me", "/coding/v1/me", CODE_KEY),
    ],
)
async def test_what_is_told_of_an_account_can_be_scripted_too(told, sim, on, path, key):
    sim.enqueue(Script(on=on, refuse="server_unavailable"))
    sim.enqueue(Script(on=on, refuse=Refusal(status=200, body="no JSON")))
    sim.enqueue(Script(on=on, extra={"more": [1]}))
    assert await told(path, key, 503) == CATALOGUE["server_unavailable"].body
    with pytest.raises(ValueError, match="Expecting value"):
        await told(path, key)
    assert (await told(path, key))["more"] == [1]


async def test_the_clock_of_the_service_may_be_ahead(ask, sim):
    sim.knobs.date_skew = 86400.0
    ahead = parsedate_to_datetime((await ask()).headers["Date"]) - datetime.now(UTC)
    assert 86000 < ahead.total_seconds() < 86800


async def test_reset_puts_the_settings_of_the_service_back(sim):
    sim.knobs.date_skew, sim.knobs.gate, sim.oauth.lifetime = 5.0, ("KimiCLI/",), 1.0
    knobs, oauth = sim.knobs, sim.oauth
    sim.reset()
    assert (sim.knobs, sim.oauth.lifetime) == (Knobs(), 900.0)
    assert (sim.knobs is knobs, sim.oauth is oauth) == (True, True)
