"""An account that logs in: its token is renewed before and when it is refused, once for all, and never lost."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path

import pytest

from harness import Gateway, Serve, until
from moongate.simulator import Simulator
from moongate.simulator.accounts import QuotaWindow
from moongate.simulator.script import Script

CODER = "kimi-for-coding"


def logged_in(
    sim: Simulator, home: Path, *, name: str = "kimi-code", lifetime: float = 900.0, left: float = 900.0
) -> str:
    """A login as `moongate login` keeps it, with so many seconds left; its access token."""
    access, refresh, _ = sim.oauth.grant(left)
    folder = home / ".moongate" / "credentials"
    folder.mkdir(parents=True, exist_ok=True)
    kept = {
        "version": 1,
        "upstream": "kimi-code",
        "access_token": access,
        "refresh_token": refresh,
        "expires_at": time.time() + left,
        "lifetime": lifetime,
        "device": "device-example",
        "oauth_host": sim.url,
    }
    (folder / f"{name}.json").write_text(json.dumps(kept))
    return access


def environ(sim: Simulator) -> dict[str, str]:
    return {"KIMI_API_BASE_URL": sim.kimi_code, "KIMI_CODE_OAUTH_HOST": sim.url}


def kept_token(home: Path, name: str = "kimi-code") -> str:
    return str(json.loads((home / ".moongate" / "credentials" / f"{name}.json").read_text())["access_token"])


async def asked(gateway: Gateway, **fields: object) -> int:
    async with gateway.ask(model=CODER, **fields) as reply:
        await reply.read()
        return reply.status


def chats(sim: Simulator) -> list[str]:
    """Of each chat request the end of its token."""
    return [seen.headers["authorization"][-4:] for seen in sim.seen if "chat" in seen.path]


async def test_a_login_in_the_home_is_an_account_by_itself(sim: Simulator, serve: Serve, tmp_path: Path) -> None:
    access = logged_in(sim, tmp_path)
    async with serve(environ(sim)) as gateway:
        assert await asked(gateway) == 200
        await until(lambda: len(gateway.records()) == 1)
        assert gateway.records()[-1]["account"] == "kimi-code"
        assert chats(sim) == [access[-4:]]
        assert sim.oauth.refreshes == 0


async def test_a_token_is_renewed_before_it_expires_and_kept_before_it_is_used(
    sim: Simulator, serve: Serve, tmp_path: Path
) -> None:
    old = logged_in(sim, tmp_path, left=10.0)
    async with serve(environ(sim)) as gateway:
        assert await asked(gateway) == 200
        assert sim.oauth.refreshes == 1
        assert kept_token(tmp_path) != old
        assert chats(sim) == [kept_token(tmp_path)[-4:]]
        assert (tmp_path / ".moongate" / "credentials" / "kimi-code.json").stat().st_mode & 0o777 == 0o600


async def test_fifty_requests_that_are_refused_at_once_cost_one_renewal_and_all_are_answered(
    sim: Simulator, serve: Serve, tmp_path: Path
) -> None:
    access = logged_in(sim, tmp_path)
    async with serve(environ(sim)) as gateway:
        assert await asked(gateway) == 200
        sim.oauth.expire_access(access)
        sim.oauth.delay = 0.1
        statuses = await asyncio.gather(*(asked(gateway, stream=number % 2 == 0) for number in range(50)))
        assert Counter(statuses) == {200: 50}
        assert sim.oauth.refreshes == 1
        await until(lambda: len(gateway.records()) == 51)
        (report,) = gateway.running.pool.reports()
        assert (report.state, report.failed) == ("ready", 0)
        attempts = gateway.records()[-1]["attempts"]
        assert [attempt.get("error", "") for attempt in attempts] == ["credential_refused", ""]


async def test_a_login_that_cannot_be_renewed_says_how_to_log_in_again_and_others_serve(
    sim: Simulator, serve: Serve, tmp_path: Path
) -> None:
    access = logged_in(sim, tmp_path)
    kept = json.loads((tmp_path / ".moongate" / "credentials" / "kimi-code.json").read_text())
    async with serve(environ(sim)) as gateway:
        await until(lambda: any("usages" in seen.path for seen in sim.seen))
        sim.oauth.revoke(kept["refresh_token"])
        sim.oauth.expire_access(access)
        async with gateway.ask(model=CODER) as reply:
            assert reply.status == 502
            error = (await reply.json())["error"]
        assert error["code"] == "login_expired"
        assert "moongate login kimi-code" in error["message"]
        (report,) = gateway.running.pool.reports()
        assert (report.state, report.kind) == ("out", "login_expired")
        async with gateway.ask(model=CODER) as reply:
            assert reply.status == 503
            assert "moongate login kimi-code" in (await reply.json())["error"]["message"]
        # Nobody hammers the login server about it.
        asked_before = sum("oauth" in seen.path for seen in sim.seen)
        for _ in range(5):
            await asked(gateway)
        assert sum("oauth" in seen.path for seen in sim.seen) == asked_before


async def test_with_two_accounts_a_lost_login_costs_nobody_an_answer(
    sim: Simulator, serve: Serve, tmp_path: Path
) -> None:
    access = logged_in(sim, tmp_path)
    kept = json.loads((tmp_path / ".moongate" / "credentials" / "kimi-code.json").read_text())
    sim.oauth.revoke(kept["refresh_token"])
    sim.oauth.expire_access(access)
    async with serve({**environ(sim), "KIMI_CODE_API_KEY": "sk-kimi-example-code-key"}) as gateway:
        assert [await asked(gateway) for _ in range(6)] == [200] * 6


async def test_a_plan_that_lacks_the_model_is_no_reason_to_renew(sim: Simulator, serve: Serve, tmp_path: Path) -> None:
    """Told with 401, as a bad token is: only the text tells them apart."""
    logged_in(sim, tmp_path)
    sim.always(Script(refuse="plan_lacks_model"))
    async with serve(environ(sim)) as gateway:
        async with gateway.ask(model="k3") as reply:
            assert (await reply.json())["error"]["code"] == "model_not_in_plan"
        assert sim.oauth.refreshes == 0


@pytest.mark.parametrize("shape", ["old", "new", "both"])
async def test_used_up_quota_is_told_with_its_reset_and_kept_clear_of(sim: Simulator, serve: Serve, shape: str) -> None:
    first, second = "sk-kimi-example-account-aaaa", "sk-kimi-example-account-bbbb"
    sim.knobs.usages_shape = shape  # type: ignore[assignment]
    reset = time.time() + 3600
    sim.account(first).windows = {"5h": QuotaWindow(limit=100, used=100, resets_at=reset)}
    sim.account(second).windows = {"5h": QuotaWindow(limit=100, used=10, resets_at=reset)}
    keys = {"KIMI_CODE_API_KEY": f"{first},{second}", "KIMI_API_BASE_URL": sim.kimi_code}
    async with serve(keys) as gateway:
        pool = gateway.running.pool
        await until(lambda: all(report.standing for report in pool.reports()))
        assert [await asked(gateway) for _ in range(10)] == [200] * 10
        assert set(chats(sim)) == {"bbbb"}
        full, _ = pool.reports()
        assert full.standing is not None
        assert [window.used for window in full.standing.windows] == [1.0]
        assert full.resting[0].kind == "quota_exhausted"
        assert full.resting[0].until == pytest.approx(reset, abs=2)


async def test_what_money_is_left_is_known(sim: Simulator, serve: Serve) -> None:
    sim.account("sk-example-account-aaaa").balance = 12.5
    async with serve({"KIMI_API_KEY": "sk-example-account-aaaa", "KIMI_BASE_URL": sim.platform}) as gateway:
        await until(lambda: gateway.running.pool.reports()[0].standing is not None)
        (report,) = gateway.running.pool.reports()
        assert report.standing is not None
        assert report.standing.balance == 12.5


async def test_who_is_refused_for_used_up_quota_is_told_when_there_will_be_more(sim: Simulator, serve: Serve) -> None:
    key, reset = "sk-kimi-example-account-aaaa", time.time() + 3000
    sim.account(key).windows = {"5h": QuotaWindow(limit=100, used=99, resets_at=reset)}
    async with serve({"KIMI_CODE_API_KEY": key, "KIMI_API_BASE_URL": sim.kimi_code}) as gateway:
        await until(lambda: gateway.running.pool.reports()[0].standing is not None)
        assert await asked(gateway) == 200
        for status in (429, 503):
            async with gateway.ask(model=CODER) as reply:
                assert reply.status == status
                assert int(reply.headers["retry-after"]) == pytest.approx(3000, abs=5)


async def test_a_token_that_is_still_good_serves_while_the_login_server_is_not_to_be_had(
    sim: Simulator, serve: Serve, tmp_path: Path
) -> None:
    access = logged_in(sim, tmp_path, left=25.0)
    sim.oauth.fail_next = [503] * 20
    async with serve(environ(sim)) as gateway:
        assert await asked(gateway) == 200
        assert set(chats(sim)) == {access[-4:]}
