"""Who is let in: every way to hold a key, and none by default."""

import json
import stat
from pathlib import Path

import pytest

from harness import Gateway, Serve
from moongate.simulator import Simulator

MASTER = "sk-example-master"
KEY = "sk-example-of-a-team"

# settings, headers of the request, what happens
DOORS = [
    ("open on loopback", {}, {}, "ours"),
    ("open, whatever is sent", {"CALLER_TOKENS": "off"}, {"authorization": "Bearer anything"}, "ours"),
    ("master", {"API_MASTER_KEY": MASTER}, {"authorization": f"Bearer {MASTER}"}, "ours"),
    ("master as x-api-key", {"API_MASTER_KEY": MASTER}, {"x-api-key": MASTER}, "ours"),
    ("master missing", {"API_MASTER_KEY": MASTER}, {}, 401),
    ("master wrong", {"API_MASTER_KEY": MASTER}, {"authorization": f"Bearer {MASTER}x"}, 401),
    ("required", {"REQUIRE_API_KEY": "true", "VALID_API_KEYS": f"{KEY},other"}, {"x-api-key": "other"}, "ours"),
    ("the word in capitals", {"API_MASTER_KEY": KEY}, {"Authorization": f"BEARER {KEY}"}, "ours"),
    ("required, none sent", {"REQUIRE_API_KEY": "true", "VALID_API_KEYS": KEY}, {}, 401),
    ("not required", {"REQUIRE_API_KEY": "false", "VALID_API_KEYS": KEY}, {}, "ours"),
    ("a placeholder beside it", {"API_MASTER_KEY": KEY}, {"authorization": "Bearer none", "x-api-key": KEY}, "ours"),
    ("default key", {"DEFAULT_AUTHKEYS": KEY}, {"authorization": f"Bearer {KEY}"}, "ours"),
    ("own token", {"DEFAULT_AUTHKEYS": KEY}, {"authorization": "Bearer sk-example-own"}, "theirs"),
    ("own tokens", {"DEFAULT_AUTHKEYS": KEY}, {"authorization": "Bearer sk-example-own,sk-example-own"}, "theirs"),
    ("own token of no known shape", {"DEFAULT_AUTHKEYS": KEY}, {"authorization": "Bearer what"}, 401),
    ("own token, not accepted", {"DEFAULT_AUTHKEYS": KEY, "CALLER_TOKENS": "no"}, {"x-api-key": "sk-example-own"}, 401),
    ("default key, none sent", {"DEFAULT_AUTHKEYS": KEY}, {}, 401),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "headers", "outcome"), [door[1:] for door in DOORS], ids=[d[0] for d in DOORS])
async def test_a_door(sim: Simulator, serve: Serve, settings: dict[str, str], headers: dict[str, str], outcome) -> None:
    environ = {"KIMI_API_KEY": "sk-example-ours", "KIMI_BASE_URL": sim.platform, **settings}
    async with serve(environ) as gateway, gateway.ask(headers=headers) as reply:
        body = await reply.json()
    if outcome == 401:
        assert reply.status == 401
        assert body["error"]["code"] == "invalid_api_key"
        assert reply.headers["x-moongate-origin"] == "caller"
        assert reply.headers["www-authenticate"] == "Bearer"
        assert not [seen for seen in sim.seen if seen.method == "POST"]
    else:
        assert reply.status == 200
        credential = {"ours": "ours", "theirs": "-own"}[outcome]
        assert sim.seen[-1].headers["authorization"].endswith(credential)


async def test_without_any_account_a_caller_may_bring_one(sim: Simulator, serve: Serve) -> None:
    async with serve({"KIMI_API_BASE_URL": sim.kimi_code}) as gateway:
        own = {"authorization": "Bearer sk-kimi-example-own"}
        async with gateway.ask(model="kimi-for-coding", headers=own) as reply:
            assert reply.headers["x-moongate-route"] == "kimi-code/kimi-for-coding"
        async with gateway.ask() as reply:
            assert reply.headers["x-moongate-route"] == "simulator/kimi-k3"
            assert "simulated" in (await reply.json())["choices"][0]["message"]["content"]


async def test_a_callers_own_account_is_asked_for_names_nobody_here_knows(sim: Simulator, serve: Serve) -> None:
    own = {"authorization": "Bearer sk-example-own"}
    async with (
        serve({"KIMI_BASE_URL": sim.platform}) as gateway,
        gateway.ask(model="kimi-of-tomorrow", headers=own) as reply,
    ):
        assert reply.status == 404
        assert reply.headers["x-moongate-origin"] == "upstream"


async def test_listening_beyond_this_machine_makes_a_key_and_shows_it_once(
    sim: Simulator, serve: Serve, tmp_path: Path
) -> None:
    environ = {"KIMI_API_KEY": "sk-example-ours", "KIMI_BASE_URL": sim.platform, "API_HOST": "0.0.0.0"}
    async with serve(environ) as gateway:
        key = gateway.new_key
        assert key is not None
        assert await _status(gateway, {}) == 401
        assert await _status(gateway, {"authorization": f"Bearer {key}"}) == 200
    file = tmp_path / ".moongate" / "keys.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key not in file.read_text()
    assert json.loads(file.read_text())["digests"]
    async with serve(environ) as gateway:
        assert gateway.new_key is None
        assert await _status(gateway, {"x-api-key": key}) == 200


async def test_listening_beyond_this_machine_is_never_open_even_if_keys_are_not_required(serve: Serve) -> None:
    async with serve({"API_HOST": "0.0.0.0", "VALID_API_KEYS": KEY, "REQUIRE_API_KEY": "false"}) as gateway:
        assert gateway.new_key is None
        assert await _status(gateway, {}) == 401
        assert await _status(gateway, {"x-api-key": KEY}) == 200


async def test_the_list_of_models_needs_a_key_only_when_it_is_not_public(serve: Serve) -> None:
    for public, status in (("true", 200), ("false", 401)):
        async with serve({"API_MASTER_KEY": MASTER, "MOONGATE_PUBLIC_MODELS": public}) as gateway:
            async with gateway.http.get(f"{gateway.url}/v1/models") as reply:
                assert reply.status == status
            async with gateway.http.get(f"{gateway.url}/v1/models", headers={"x-api-key": MASTER}) as reply:
                assert reply.status == 200


async def test_the_log_names_the_caller_but_not_the_key(serve: Serve) -> None:
    async with serve({"API_MASTER_KEY": MASTER, "VALID_API_KEYS": KEY, "CALLER_TOKENS": "off"}) as gateway:
        await _status(gateway, {"x-api-key": MASTER})
        await _status(gateway, {"x-api-key": KEY})
        await _status(gateway, {"x-api-key": "sk-example-wrong-key"})
        records = gateway.records()
    assert [record.get("caller") for record in records] == ["master", "key-1", None]
    assert records[-1]["status"] == 401
    assert "sk-example" not in str(gateway.log)


async def _status(gateway: Gateway, headers: dict[str, str]) -> int:
    async with gateway.ask(headers=headers) as reply:
        return reply.status
