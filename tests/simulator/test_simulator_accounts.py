"""How the simulated vendor treats an account: quota, limits, money, barring, and in which words."""

import asyncio

import msgspec
import pytest

from harness import until
from moongate.simulator import CATALOGUE, Refusal, Script, Simulator
from moongate.simulator.accounts import MOST, Accounts, AccountState, Booster, QuotaWindow
from moongate.simulator.admission import count, refusal
from moongate.simulator.asked import Asked
from moongate.simulator.meter import Meter
from moongate.simulator.models import OFFERED, Product

KEY = "sk-example-1234"
CODE_KEY = "sk-kimi-example-5678"
ACCOUNT = "Your account org-example0123456789abcdef<ak-example0123456789> request reached organization"
NOW = 1_800_000_000.0


def asking(model="kimi-k3", product=Product.PLATFORM, words="four words of text", **members):
    body = {"model": model, "messages": [{"role": "user", "content": words}], **members}
    return Asked(product, OFFERED[product][model], body)


def coding(model="k3"):
    return asking(model, Product.KIMI_CODE)


def full(length=18000.0):
    return QuotaWindow(limit=3, used=3, resets_at=NOW + 60, length=length)


REFUSED = [
    ("no money is left", AccountState(balance=0.0), asking(), "insufficient_balance"),
    ("debts", AccountState(balance=-3.0), asking(), "insufficient_balance"),
    ("five hours", AccountState(windows={"5h": full()}), coding(), "five_hour_quota"),
    ("a week", AccountState(windows={"7d": full()}), coding(), "weekly_quota"),
    ("a month", AccountState(windows={"month_total": full()}), coding(), "billing_cycle_quota"),
    ("a month of code", AccountState(windows={"month_code": full()}), coding(), "billing_cycle_quota"),
    ("nothing allowed", AccountState(windows={"5h": QuotaWindow(limit=0)}), coding(), "five_hour_quota"),
    ("an empty wallet", AccountState(windows={"5h": full()}, booster=Booster(0, 50)), coding(), "five_hour_quota"),
    ("the plan's models", AccountState(models=frozenset({"k3-256k"})), coding(), "plan_lacks_model"),
    ("many at a time", AccountState(max_concurrency=0), coding(), "too_many_requests"),
    ("many a minute", AccountState(rpm=0), coding(), "too_many_requests"),
    ("many tokens", AccountState(tpm=0), coding(), "too_many_requests"),
]


@pytest.mark.parametrize(("state", "asked", "row"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_bars_an_account_is_told_in_the_words_of_the_catalogue(state, asked, row):
    assert refusal(state, asked, NOW) == CATALOGUE[row]


SERVED = [
    ("a fresh account", AccountState(), asking()),
    ("a voucher beside debts", AccountState(balance=-3.0, voucher=1.0), asking()),
    ("a membership has no balance", AccountState(balance=0.0), coding()),
    ("a window that is over", AccountState(windows={"5h": QuotaWindow(limit=3, used=3, resets_at=NOW)}), coding()),
    ("a wallet", AccountState(windows={"5h": full()}, booster=Booster(1, 50)), coding()),
    ("its own model", AccountState(models=frozenset({"k3"})), coding()),
    (
        "fast models apart",
        AccountState(windows={"5h": full()}, highspeed_windows={}),
        coding("kimi-for-coding-highspeed"),
    ),
    ("others than fast ones", AccountState(highspeed_windows={"5h": full()}), coding()),
]


@pytest.mark.parametrize(("state", "asked"), [row[1:] for row in SERVED], ids=[row[0] for row in SERVED])
def test_what_does_not_bar_an_account(state, asked):
    assert refusal(state, asked, NOW) is None


def test_fast_models_share_the_plans_windows_unless_they_have_their_own():
    fast = coding("kimi-for-coding-highspeed")
    assert refusal(AccountState(windows={"5h": full()}), fast, NOW) == CATALOGUE["five_hour_quota"]
    assert refusal(AccountState(highspeed_windows={"7d": full()}), fast, NOW) == CATALOGUE["weekly_quota"]


@pytest.mark.parametrize(
    ("resets_at", "now", "then", "used"),
    [
        (0.0, 1000.0, 1100.0, 7),  # begins with the first request
        (1050.0, 1000.0, 1050.0, 7),
        (1000.0, 1000.0, 1100.0, 0),
        (1000.0, 1099.0, 1100.0, 0),
        (1000.0, 1350.0, 1400.0, 0),
        (1.0, 1_800_000_000.0, 1_800_000_001.0, 0),
    ],
)
def test_a_window_starts_anew_at_its_reset_however_long_ago_that_was(resets_at, now, then, used):
    window = QuotaWindow(limit=9, used=7, resets_at=resets_at, length=100.0)
    window.roll(now)
    assert (window.resets_at, window.used) == (then, used)


@pytest.mark.parametrize(
    ("terms", "words", "seconds"),
    [
        ({"max_concurrency": 0}, "max concurrency: 0, please try again after 1 seconds", "1"),
        ({"rpm": 2}, "max RPM: 2, please try again after 61 seconds", "61"),
        ({"tpm": 20}, "TPM rate limit, current:24, limit:20", "61"),
        ({"tpd": 20}, "TPD rate limit, current:24, limit:20", "87840"),
    ],
)
def test_the_platform_words_each_limit_its_own_way(terms, words, seconds):
    state = AccountState(**terms)
    for _ in range(2):
        count(state, asking(max_tokens=3), NOW)  # 5 tokens of prompt, 8 with those of the answer
    refused = refusal(state, asking(max_tokens=3), NOW)
    assert (refused.status, refused.headers) == (429, {})
    assert refused.body == {"error": {"message": f"{ACCOUNT} {words}", "type": "rate_limit_reached_error"}}
    state.retry_after_header = True
    assert refusal(state, asking(max_tokens=3), NOW).headers == {"Retry-After": seconds}
    assert refusal(state, asking(max_tokens=3), NOW + float(seconds)) is None or "max_concurrency" in terms


def test_kimi_code_tells_when_to_come_again_only_in_the_header():
    refused = refusal(AccountState(max_concurrency=0, retry_after_header=True), coding(), NOW)
    assert refused == msgspec.structs.replace(CATALOGUE["too_many_requests"], headers={"Retry-After": "1"})


@pytest.mark.parametrize(
    ("members", "cost"),
    [
        ({}, 5),
        ({"max_tokens": 10}, 15),
        ({"max_completion_tokens": 7, "max_tokens": 10}, 12),
        ({"max_tokens": "many"}, 5),
        ({"max_tokens": -4}, 5),
    ],
)
def test_a_limit_on_tokens_counts_the_prompt_and_what_the_answer_may_have(members, cost):
    assert refusal(AccountState(tpm=cost), asking(**members), NOW) is None
    assert refusal(AccountState(tpm=cost - 1), asking(**members), NOW) is not None


def test_a_meter_forgets_what_is_old_and_never_holds_more_than_sixty_odd_amounts():
    meter = Meter(60.0)
    for tenth in range(6000):
        meter.add(1, NOW + tenth / 10)
    assert 600 <= meter.total(NOW + 600) <= 610
    assert len(meter._slots) <= 62
    assert meter.total(NOW + 630) < 320
    assert meter.total(NOW + 700) == 0


def test_a_meter_knows_how_long_until_enough_is_forgotten():
    meter = Meter(60.0)
    meter.add(5, NOW)
    meter.add(5, NOW + 10)
    assert meter.wait(10, NOW + 10) == 0
    assert meter.wait(9, NOW + 10) == 51
    assert meter.wait(0, NOW + 10) == 61
    assert meter.wait(-1, NOW + 10) == 0


def test_the_accounts_unused_for_longest_are_forgotten():
    accounts = Accounts()
    first, second = accounts.of("first"), accounts.of("second")
    for number in range(MOST - 1):
        accounts.of("first")
        accounts.of(f"other {number}")
    assert accounts.of("first") is first
    assert accounts.of("second") is not second


async def test_requests_use_up_the_window_until_it_is_full(ask, sim: Simulator):
    sim.account(CODE_KEY).windows = {"5h": QuotaWindow(limit=2), "7d": QuotaWindow(limit=9)}
    assert [(await ask(code=True)).status for _ in range(3)] == [200, 200, 403]
    assert [window.used for window in sim.account(CODE_KEY).windows.values()] == [2, 2]


async def test_a_refusal_is_no_request_that_was_served(ask, sim: Simulator):
    state = sim.account(KEY)
    state.rpm = 1
    assert (await ask(script=Script(refuse="server_error"))).status == 500
    assert (await ask(temperature=0)).status == 400
    assert [(await ask()).status for _ in range(2)] == [200, 429]


async def test_a_request_over_the_limit_takes_no_script(ask, sim: Simulator):
    sim.account(KEY).tpm = 0
    assert (await ask(script=Script(text="kept"))).status == 429
    assert sim.queued == 1


async def test_requests_at_a_time_are_counted_for_as_long_as_they_last(ask, sim: Simulator):
    state = sim.account(KEY)
    state.max_concurrency = 2
    sim.always(Script(stall_after=1), KEY)
    slow = [asyncio.create_task(ask(stream=True)) for _ in range(2)]
    async with asyncio.timeout(10):
        await until(lambda: state.active == 2, 10)
        got = await ask()
        assert "max concurrency: 2" in got.json["error"]["message"]
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        await sim.settled()
    assert (state.active, state.peak) == (0, 2)


async def test_accounts_do_not_share_what_is_held_about_them(ask, sim: Simulator):
    sim.account("sk-example-other").balance = 0.0
    assert (await ask()).status == 200
    sim.account(KEY).balance = 0.0
    assert (await ask()).json == CATALOGUE["insufficient_balance"].body
    sim.reset()
    assert (await ask()).status == 200


ROUTES = ["chat/completions", "models", "usages", "me"]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "row", ["membership_inactive", "access_terminated", "kimi_code_invalid_key", "server_unavailable"]
)
async def test_a_barred_account_gets_the_same_refusal_everywhere(sim: Simulator, session, row, path):
    sim.account(CODE_KEY).barred = row
    method = "POST" if path == "chat/completions" else "GET"
    headers = {"Authorization": f"Bearer {CODE_KEY}"}
    async with session.request(method, f"{sim.kimi_code}/{path}", headers=headers, data=b"{}") as response:
        assert response.status == CATALOGUE[row].status
        assert await response.json() == CATALOGUE[row].body


async def test_an_account_can_be_barred_in_words_of_ones_own(ask, sim: Simulator):
    sim.account(KEY).barred = Refusal(status=451, body="no", headers={"Retry-After": "9"})
    got = await ask()
    assert (got.status, got.raw, got.headers["Retry-After"]) == (451, b"no", "9")


def test_an_account_cannot_be_barred_by_a_row_that_does_not_exist():
    with pytest.raises(ValueError, match="no such row 'nope'"):
        AccountState(barred="nope")


@pytest.mark.parametrize(("agent", "status"), [("KimiCLI/1.50", 200), ("moongate/1", 403), ("", 403)])
async def test_the_gate_asks_who_is_calling_kimi_code_and_nobody_else(ask, sim: Simulator, session, agent, status):
    sim.knobs.gate = ("KimiCLI/", "kimi-code-cli/")
    body = {"model": "k3", "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"Authorization": f"Bearer {CODE_KEY}", "User-Agent": agent}
    async with session.post(f"{sim.kimi_code}/chat/completions", json=body, headers=headers) as response:
        assert response.status == status
        if status == 403:
            assert await response.json() == CATALOGUE["coding_agents_only"].body
    assert (await ask()).status == 200
