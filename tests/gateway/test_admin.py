"""What the operator asks of a running gateway, and that nobody else can."""

import aiohttp
import pytest

from conftest import PLATFORM_KEY
from harness import Gateway, Serve
from moongate.simulator import Simulator
from moongate.simulator.script import Script

MASTER = "sk-example-master-key"


def environ(sim: Simulator, **more: str) -> dict[str, str]:
    return {"KIMI_API_KEY": PLATFORM_KEY, "KIMI_BASE_URL": sim.platform, "API_MASTER_KEY": MASTER, **more}


def accounts(gateway: Gateway, key: str = MASTER) -> aiohttp.client._RequestContextManager:
    return gateway.http.get(f"{gateway.url}/admin/accounts", headers={"authorization": f"Bearer {key}"})


async def test_the_operator_sees_each_account_and_never_its_credential(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim)) as gateway, accounts(gateway) as reply:
        (account,) = (await reply.json())["accounts"]
        assert (account["name"], account["upstream"], account["state"]) == ("moonshot-1", "moonshot", "ready")
        assert account["credential"] == f"…{PLATFORM_KEY[-4:]}"
        assert PLATFORM_KEY not in await reply.text()


@pytest.mark.parametrize("key", ["", "sk-example-wrong", "sk-example-caller-key"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/admin/accounts"), ("POST", "/admin/accounts/moonshot-1/reset")])
async def test_nobody_else_does(sim: Simulator, serve: Serve, key: str, method: str, path: str) -> None:
    async with serve(environ(sim, VALID_API_KEYS="sk-example-caller-key")) as gateway:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        async with gateway.http.request(method, f"{gateway.url}{path}", headers=headers) as reply:
            assert reply.status == 401
            assert (await reply.json())["error"]["code"] == "invalid_api_key"


async def test_without_a_master_key_no_key_opens(sim: Simulator, serve: Serve) -> None:
    async with serve({"KIMI_API_KEY": PLATFORM_KEY, "KIMI_BASE_URL": sim.platform}) as gateway:
        for key in ("", PLATFORM_KEY):
            async with accounts(gateway, key) as reply:
                assert reply.status == 401


async def test_a_reset_lets_an_account_serve_at_once(sim: Simulator, serve: Serve) -> None:
    key = {"authorization": f"Bearer {MASTER}"}
    async with serve(environ(sim)) as gateway:
        sim.enqueue(Script(refuse="insufficient_balance"))
        async with gateway.ask(headers=key) as reply:
            assert reply.status == 429
        async with gateway.ask(headers=key) as reply:
            assert reply.status == 503
            assert int(reply.headers["retry-after"]) > 1
        async with accounts(gateway) as reply:
            (account,) = (await reply.json())["accounts"]
            assert (account["state"], account["kind"]) == ("resting", "balance_exhausted")
        async with gateway.http.post(f"{gateway.url}/admin/accounts/moonshot-1/reset", headers=key) as reply:
            assert (await reply.json())["accounts"][0]["state"] == "ready"
        async with gateway.ask(headers=key) as reply:
            assert reply.status == 200


async def test_an_account_nobody_has_is_told_with_those_there_are(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim)) as gateway:
        url, key = f"{gateway.url}/admin/accounts/nobody/reset", {"authorization": f"Bearer {MASTER}"}
        async with gateway.http.post(url, headers=key) as reply:
            assert reply.status == 404
            assert "moonshot-1" in (await reply.json())["error"]["message"]


async def test_a_gateway_whose_accounts_all_rest_says_that_it_is_not_ready(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim)) as gateway:
        sim.enqueue(Script(refuse="insufficient_balance"))
        async with gateway.ask(headers={"authorization": f"Bearer {MASTER}"}) as reply:
            assert reply.status == 429
        async with gateway.http.get(f"{gateway.url}/health/ready") as reply:
            assert reply.status == 503
