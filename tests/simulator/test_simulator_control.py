"""What another process can set and ask over HTTP."""

import json

import pytest

from moongate.simulator import CATALOGUE, Refusal, Simulator
from moongate.simulator.accounts import AccountState, Booster, QuotaWindow, Terms
from moongate.simulator.forms import CLIENT_ID
from moongate.simulator.knobs import Knobs, LoginKnobs
from moongate.simulator.settable import change, restore, shown

KEY = "sk-example-1234"
CODE_KEY = "sk-kimi-example-5678"
ACCOUNTS, OAUTH, KNOBS = "/_simulator/accounts", "/_simulator/oauth", "/_simulator/knobs"


@pytest.fixture
def control(sim: Simulator, session):
    async def control_(method, path, given=None, **query):
        data = None if given is None else (given if isinstance(given, str) else json.dumps(given)).encode()
        async with session.request(method, sim.url + path, params=query, data=data) as response:
            return response.status, await response.json()

    return control_


async def test_an_account_can_be_asked_for_and_set(ask, control, sim):
    status, body = await control("GET", ACCOUNTS, credential=CODE_KEY)
    assert status == 200
    assert body.keys() == {*Terms.__struct_fields__, "active", "peak"}
    windows = {"5h": {"limit": 1, "used": 1, "resets_at": 2e9, "length": 18000.0}}
    status, body = await control("POST", ACCOUNTS, {"windows": windows, "plan": "LEVEL_BASIC"}, credential=CODE_KEY)
    assert (status, body["windows"], body["plan"]) == (200, windows, "LEVEL_BASIC")
    assert (await ask(code=True)).json == CATALOGUE["five_hour_quota"].body
    assert sim.seen[-1].path.startswith("/coding")
    assert sim.account(KEY).windows == {}


SETTINGS = [
    ("balance", -2.5, -2.5),
    ("voucher", 3, 3.0),
    ("windows", {"7d": {"limit": 5}}, {"7d": QuotaWindow(limit=5)}),
    ("highspeed_windows", {"5h": {"limit": 5, "length": 60}}, {"5h": QuotaWindow(limit=5, length=60.0)}),
    ("highspeed_windows", None, None),
    ("booster", {"left": 1, "amount": 2}, Booster(left=1.0, amount=2.0)),
    ("max_concurrency", 3, 3),
    ("rpm", 4, 4),
    ("tpm", 5, 5),
    ("tpd", 6, 6),
    ("retry_after_header", True, True),
    ("barred", "membership_inactive", "membership_inactive"),
    ("barred", {"status": 402, "body": {"a": [1]}}, Refusal(status=402, body={"a": [1]})),
    ("models", ["k3"], frozenset({"k3"})),
]


@pytest.mark.parametrize(("name", "given", "value"), SETTINGS)
async def test_each_setting_of_an_account_reads_from_json_and_is_shown_again(control, sim, name, given, value):
    status, body = await control("POST", ACCOUNTS, {name: given}, credential=KEY)
    assert status == 200
    assert getattr(sim.account(KEY), name) == value
    assert await control("POST", ACCOUNTS, {name: body[name]}, credential=KEY) == (200, body)


BAD = [
    (ACCOUNTS, "{", "Expecting"),
    (ACCOUNTS, "[]", "Expected an object"),
    (ACCOUNTS, '{"nope": 1}', "no such setting 'nope'"),
    (ACCOUNTS, '{"peak": 1}', "no such setting 'peak'"),
    (ACCOUNTS, '{"rpm": -1}', "rpm"),
    (ACCOUNTS, '{"balance": 1e999}', "balance"),
    (ACCOUNTS, '{"balance": "much"}', "balance"),
    (ACCOUNTS, '{"barred": "nope"}', "no such row 'nope'"),
    (ACCOUNTS, '{"barred": {"status": 99, "body": ""}}', "status"),
    (ACCOUNTS, '{"windows": {"5h": {"limit": 5, "length": 0}}}', "length"),
    (ACCOUNTS, '{"windows": {"5h": {"limit": 5, "resets_at": 1e15}}}', "resets_at"),
    (ACCOUNTS, '{"windows": {"5h": {"limit": 5, "resetsAt": 1}}}', "resetsAt"),
    (OAUTH, '{"lifetime": -1}', "lifetime"),
    (OAUTH, '{"pending_status": 99}', "pending_status"),
    (OAUTH, '{"fail_next": [0]}', "fail_next"),
    (OAUTH, '{"clear": 1}', "no such setting 'clear'"),
    (OAUTH, '{"_count": 1}', "no such setting '_count'"),
    (KNOBS, '{"usages_shape": "odd"}', "usages_shape"),
]


@pytest.mark.parametrize(("path", "given", "why"), BAD)
async def test_what_cannot_be_set_is_a_400_that_says_why(control, path, given, why):
    status, body = await control("POST", path, given, credential=KEY)
    assert status == 400
    assert why in body["error"]["message"]


async def test_of_settings_that_are_partly_wrong_none_is_taken(control, sim):
    status, _ = await control("POST", ACCOUNTS, {"balance": 1, "rpm": "many"}, credential=KEY)
    assert (status, sim.account(KEY).balance) == (400, 100.0)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_account_must_be_named(control, method):
    status, body = await control(method, ACCOUNTS, None if method == "GET" else {})
    assert (status, body["error"]["message"]) == (400, "credential is missing from the query")


async def test_the_login_server_can_be_set(control, sim):
    given = {"auto_approve_after": 2, "lifetime": 30, "interval": 0.5, "fail_next": [500, 503], "strict": True}
    status, body = await control("POST", OAUTH, given)
    assert status == 200
    assert (sim.oauth.auto_approve_after, sim.oauth.lifetime, sim.oauth.interval) == (2, 30.0, 0.5)
    assert (sim.oauth.fail_next, sim.oauth.strict) == ([500, 503], True)
    assert await control("GET", OAUTH) == (200, body)
    assert body.keys() == {*LoginKnobs.__struct_fields__, "refreshes"}


@pytest.mark.parametrize(("verb", "word"), [("approve", "approved"), ("deny", "denied")])
async def test_a_login_can_be_decided_on(control, sim, session, verb, word):
    async with session.post(f"{sim.url}/api/oauth/device_authorization", data={"client_id": CLIENT_ID}) as response:
        begun = await response.json()
    code = begun["user_code"]
    assert await control("POST", f"{OAUTH}/{verb}", user_code=code) == (200, {word: code})
    form = {
        "client_id": CLIENT_ID,
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": begun["device_code"],
    }
    async with session.post(f"{sim.url}/api/oauth/token", data=form) as response:
        assert (response.status == 200) is (word == "approved")


@pytest.mark.parametrize("query", [{}, {"user_code": "ABCD-0000"}])
async def test_to_decide_on_a_login_nobody_waits_for_is_a_404(control, query):
    for verb in ("approve", "deny"):
        status, body = await control("POST", f"{OAUTH}/{verb}", **query)
        assert status == 404
        assert "nobody waits" in body["error"]["message"]


async def test_the_service_can_be_set(control, sim):
    given = {"usages_shape": "old", "ratio_as_text": True, "gate": ["KimiCLI/"], "date_skew": -5.0}
    assert await control("POST", KNOBS, given) == (200, given)
    assert sim.knobs == Knobs("old", True, ("KimiCLI/",), -5.0)
    assert await control("GET", KNOBS) == (200, given)


async def test_control_leaves_no_trace_in_the_witness(control, sim):
    await control("POST", ACCOUNTS, {}, credential=KEY)
    await control("GET", OAUTH)
    await control("POST", KNOBS, {})
    assert sim.seen == []


def test_settings_can_be_changed_shown_and_restored_in_place():
    state = AccountState()
    change(state, Terms, {"rpm": 3, "models": ["k3"]})
    assert (state.rpm, state.models) == (3, frozenset({"k3"}))
    assert shown(state, Terms)["models"] == ["k3"]
    state.peak = 9
    restore(state)
    assert (state.rpm, state.models, state.peak) == (None, None, 0)
