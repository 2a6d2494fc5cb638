"""Accounts tried for real, each with what is wrong with it and nothing of the others'."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from moongate.commands.check import check, check_one, checked, skewed, spent
from moongate.commands.given import TROUBLE, WELL, WRONG
from moongate.core.errors import GatewayError, Kind
from moongate.core.sealed import Sealed
from moongate.core.standing import Standing, Window
from moongate.pool.account import Account
from moongate.pool.credentials import FixedKey
from moongate.pool.report import CheckReport
from moongate.settings import Settings
from moongate.simulator import simulator
from moongate.upstreams.driver import Incoming, Transport
from moongate.upstreams.kimi_code import kimi_code
from moongate.upstreams.moonshot import moonshot
from moongate.upstreams.transport import AiohttpTransport
from moongate.wire.http import HttpCall, HttpHead, HttpReply
from scripted import patiently

NOW = 1795000000.0
KEY = "sk-example-0123456789"
MODELS = b'{"data":[{"id":"kimi-k3"},{"id":"kimi-k2.6"}]}'
BALANCE = b'{"code":0,"data":{"available_balance":49.5},"status":true}'
USAGES = b'{"usages":{"limit_5h":{"used_ratio":1},"limit_7d":{"used_ratio":0.5}}}'


class Vendor:
    """Answers by path, after `late` seconds, with the time it takes for the right one."""

    def __init__(
        self, answers: Mapping[str, tuple[int, bytes]], *, time: float | None = NOW, late: float = 0.0
    ) -> None:
        self._answers = answers
        self._headers = {} if time is None else {"date": formatdate(time, usegmt=True)}
        self._late = late

    async def fetch(self, call: HttpCall) -> HttpReply:
        await asyncio.sleep(self._late)
        for path, (status, body) in self._answers.items():
            if call.url.endswith(path):
                return HttpReply(HttpHead(status, self._headers), body)
        raise GatewayError(Kind.UNREACHABLE, "cannot connect")

    def stream(self, call: HttpCall) -> AbstractAsyncContextManager[Incoming]:
        raise NotImplementedError


def account(name: str = "main", base_url: str = "https://api.moonshot.ai/v1") -> Account:
    if "coding" in base_url:
        return Account(name, kimi_code(base_url, "moongate/test"), FixedKey(Sealed("sk-kimi-example-0123456789")))
    return Account(name, moonshot(base_url, "moongate/test"), FixedKey(Sealed(KEY)))


CODING = "https://api.kimi.com/coding/v1"
WELL_ANSWERED = {"/models": (200, MODELS), "/users/me/balance": (200, BALANCE), "/usages": (200, USAGES)}


def tried(vendor: Vendor, who: Account | None = None, clock: Callable[[], float] = lambda: NOW + 0.5) -> CheckReport:
    report, _ = patiently(check_one(who or account(), vendor, clock))
    return report


def test_an_account_that_is_well_is_told_with_its_models_and_its_standing() -> None:
    report = tried(Vendor(WELL_ANSWERED, late=0.25))
    assert (report.name, report.upstream, report.credential, report.problem) == ("main", "moonshot", "…6789", "")
    assert report.models == ("kimi-k3", "kimi-k2.6")
    assert report.standing is not None
    assert (report.standing.balance, report.standing.currency) == (49.5, "USD")
    assert (report.clock_skew, report.seconds) == (0.0, 0.25)


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({}, "cannot connect"),
        (
            {**WELL_ANSWERED, "/models": (401, b'{"error":{"message":"Invalid Authentication"}}')},
            "Invalid Authentication (",
        ),
        ({**WELL_ANSWERED, "/models": (200, b"<html>")}, "the upstream's list of models cannot be read"),
        ({**WELL_ANSWERED, "/users/me/balance": (500, b"oops")}, "it answers, but not how it stands: oops"),
        (
            {**WELL_ANSWERED, "/users/me/balance": (200, b'{"data":{"available_balance":-2}}')},
            "no money is left: the balance is -2 USD",
        ),
    ],
)
def test_what_is_wrong_is_told(answers: dict[str, tuple[int, bytes]], problem: str) -> None:
    assert tried(Vendor(answers)).problem.startswith(problem)


def test_a_plan_that_is_used_up_is_a_problem() -> None:
    report = tried(Vendor(WELL_ANSWERED), account("code", CODING))
    assert report.problem == "the plan's quota is used up: 5h"
    assert report.models == ("kimi-k3", "kimi-k2.6")


def test_a_vendor_that_tells_of_no_standing_is_none() -> None:
    report = tried(Vendor({**WELL_ANSWERED, "/users/me/balance": (404, b"")}))
    assert (report.problem, report.standing) == ("", None)


@pytest.mark.parametrize(
    ("ours", "told"),
    [
        (NOW + 60, ""),
        (NOW + 90.5, "this machine's clock is 90 s ahead of the upstream's"),
        (NOW - 299.5, "this machine's clock is 5 min behind the upstream's"),
    ],
)
def test_a_clock_that_is_off_is_a_problem(ours: float, told: str) -> None:
    problem = tried(Vendor(WELL_ANSWERED), clock=lambda: ours).problem
    assert problem.startswith(told)
    assert bool(problem) is bool(told)


def test_a_clock_is_compared_even_where_the_account_is_refused() -> None:
    report = tried(Vendor({"/models": (401, b"{}")}), clock=lambda: NOW + 100.5)
    assert report.clock_skew == 100
    assert "clock is 100 s ahead" in report.problem


def test_a_vendor_that_does_not_tell_the_time_is_not_compared() -> None:
    assert tried(Vendor(WELL_ANSWERED, time=None)).clock_skew is None


PLAN = (Window("5h", 1.0), Window("7d", 1.0), Window("month", 0.5))


@pytest.mark.parametrize(
    ("standing", "told"),
    [
        (None, ""),
        (Standing(NOW), ""),
        (Standing(NOW, PLAN), "the plan's quota is used up: 5h and 7d"),
        (Standing(NOW, PLAN, balance=3.0), ""),
        (Standing(NOW, PLAN[2:]), ""),
        (Standing(NOW, balance=0.0), "no money is left: the balance is 0"),
    ],
)
def test_money_beyond_a_plan_pays_for_what_goes_beyond_it(standing: Standing | None, told: str) -> None:
    assert spent(standing) == told


def test_a_clock_within_a_minute_is_right() -> None:
    assert skewed(60.0) == skewed(-60.0) == skewed(None) == ""


async def test_accounts_are_tried_at_once_and_one_that_fails_hides_no_other() -> None:
    async with simulator() as server, AiohttpTransport() as transport:
        accounts = (
            account("gone", "http://127.0.0.1:9/v1"),
            account("main", f"{server.url}/v1"),
            account("code", f"{server.url}/coding/v1"),
        )
        reports = {report.name: report async for report in check(accounts, transport)}
    assert reports["gone"].problem.startswith("cannot connect")
    assert "kimi-k3" in reports["main"].models
    assert "kimi-for-coding" in reports["code"].models
    assert (reports["main"].problem, reports["code"].problem) == ("", "")
    assert all(report.clock_skew is None or abs(report.clock_skew) < 5 for report in reports.values())


def test_all_together_take_as_long_as_the_slowest() -> None:
    async def names() -> list[str]:
        vendor = Vendor(WELL_ANSWERED, late=10)
        return [report.name async for report in check([account(str(n)) for n in range(20)], vendor)]

    told, seconds = patiently(names())
    assert sorted(told, key=int) == [str(n) for n in range(20)]
    assert seconds == pytest.approx(20)


# The command.


def accounts_of(vendor: Transport, *names: str) -> Any:
    @asynccontextmanager
    async def of(settings: Settings) -> AsyncIterator[tuple[tuple[Account, ...], Transport]]:
        yield tuple(account(name) for name in names), vendor

    return of


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory without settings to run in."""
    monkeypatch.chdir(tmp_path)
    for name in ("KIMI_API_KEY", "KIMI_CODE_API_KEY", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_exit_code_says_whether_all_is_well(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"KIMI_API_KEY": KEY}
    assert checked(given, accounts_of(Vendor(WELL_ANSWERED, time=None), "a", "b"), as_json=False) == WELL
    assert capsys.readouterr().out.count("all is well") == 2
    assert checked(given, accounts_of(Vendor({}), "a"), as_json=False) == TROUBLE
    said = capsys.readouterr()
    assert "cannot connect" in said.out
    assert KEY not in said.out + said.err


def test_programs_get_the_accounts_in_their_order(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vendor = Vendor(WELL_ANSWERED, time=None)
    assert checked({"KIMI_API_KEY": KEY}, accounts_of(vendor, "b", "a"), as_json=True) == WELL
    told = json.loads(capsys.readouterr().out)["accounts"]
    assert [report["name"] for report in told] == ["b", "a"]


def test_without_an_account_there_is_nothing_to_check(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked({}, accounts_of(Vendor({})), as_json=True) == TROUBLE
    said = capsys.readouterr()
    assert json.loads(said.out) == {"accounts": []}
    assert "demo mode" in said.err


def test_wrong_settings_are_told_before_anything_is_asked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        checked({"API_PORT": "abc"}, accounts_of(Vendor({})), as_json=False)
    assert ended.value.code == WRONG
    assert "API_PORT=abc" in capsys.readouterr().err
