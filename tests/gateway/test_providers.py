"""Several accounts and other vendors' servers: who answers, what reaches them, and what the reply says of it."""

from pathlib import Path

import pytest

from harness import Serve
from moongate.simulator import Script, Simulator

PLATFORM_KEY = "sk-example-platform-key"
PROVIDER_KEY = "sk-example-provider-key"

FILE = """
[[accounts]]
name = "moon-1"
upstream = "moonshot"
credential = "{platform}"
base_url = "{base}"
models = ["kimi-k3"]

[[accounts]]
name = "moon-2"
upstream = "moonshot"
credential = "{platform}-2"
base_url = "{base}"
models = ["kimi-k3"]

[[accounts]]
name = "elsewhere-1"
upstream = "openai"
provider = "elsewhere"
credential = "{provider}"
base_url = "{base}"

[[models]]
name = "safe"
routes = ["moonshot/kimi-k3", "elsewhere/kimi-k2.6"]

[[models]]
name = "second"
routes = ["moon-2/kimi-k3"]
"""

ODD_BODY = (
    '{"model":"MODEL","zz":{"b": 1.00, "a": 12345678901234567890},"temperature":1.0,'
    '"messages":[{"role":"system","content":"你好"},{"role":"user","content":"🌙 \\u0000"}]}'
)


@pytest.fixture
def served(sim: Simulator, serve: Serve, tmp_path: Path) -> Serve:
    """The simulator stands for the platform and, as it speaks OpenAI's chat too, for a server of another vendor."""
    text = FILE.format(platform=PLATFORM_KEY, provider=PROVIDER_KEY, base=sim.platform)
    (tmp_path / "moongate.toml").write_text(text, "utf-8")
    return serve


def keys(sim: Simulator) -> list[str]:
    """The last characters of the keys that chats were asked for with."""
    return [seen.headers["authorization"][-4:] for seen in sim.seen if seen.path.endswith("/chat/completions")]


@pytest.mark.parametrize("model", ["kimi-k2.6", "elsewhere/kimi-k2.6"])
async def test_a_providers_model_is_asked_for_unchanged(served: Serve, sim: Simulator, model: str) -> None:
    async with served() as gateway:
        async with gateway.http.get(f"{gateway.url}/v1/models"):
            pass  # the list has been asked for: it is known who has the model
        body = ODD_BODY.replace("MODEL", model).encode()
        async with gateway.http.post(gateway.chat_url, data=body) as reply:
            assert reply.status == 200
            assert reply.headers["x-moongate-route"] == "elsewhere/kimi-k2.6"
            assert "x-moongate-notes" not in reply.headers
    assert sim.seen[-1].body == body.replace(model.encode(), b"kimi-k2.6")
    assert keys(sim) == [PROVIDER_KEY[-4:]]


async def test_what_a_provider_refuses_is_handed_back_not_made_to_fit(served: Serve) -> None:
    async with served() as gateway, gateway.ask(model="elsewhere/kimi-k2.6", temperature=0.3) as reply:
        assert reply.status == 400
        assert reply.headers["x-moongate-origin"] == "upstream"


async def test_a_provider_answers_where_the_first_route_is_refused(served: Serve, sim: Simulator) -> None:
    async with served() as gateway:
        for key in (PLATFORM_KEY, f"{PLATFORM_KEY}-2"):
            sim.enqueue(Script(refuse="insufficient_balance"), key)
        async with gateway.ask(model="safe") as reply:
            assert reply.status == 200
            assert reply.headers["x-moongate-route"] == "elsewhere/kimi-k2.6"
            assert reply.headers["x-moongate-attempts"] == "3"


async def test_an_account_that_a_route_names_answers_alone(served: Serve, sim: Simulator) -> None:
    async with served() as gateway:
        for model in ("second", "moon-2/kimi-k3", "second"):
            async with gateway.ask(model=model) as reply:
                assert reply.status == 200
                assert reply.headers["x-moongate-route"] == "moonshot/kimi-k3"
        assert {entry["account"] for entry in gateway.records()} == {"moon-2"}


async def test_the_list_says_whose_each_model_is(sim: Simulator, serve: Serve, tmp_path: Path) -> None:
    account = f'[[accounts]]\nname = "elsewhere"\nupstream = "openai"\ncredential = "{PROVIDER_KEY}"\n'
    (tmp_path / "moongate.toml").write_text(f'{account}base_url = "{sim.platform}"\n', "utf-8")
    async with serve() as gateway, gateway.http.get(f"{gateway.url}/v1/models") as reply:
        listed = {entry["id"]: entry["owned_by"] for entry in (await reply.json())["data"]}
    assert listed["kimi-k2.6"] == "elsewhere"


async def test_a_server_that_asks_for_no_key_is_sent_none(sim: Simulator, serve: Serve, tmp_path: Path) -> None:
    account = '[[accounts]]\nname = "mine"\nupstream = "openai"\n'
    (tmp_path / "moongate.toml").write_text(f'{account}base_url = "{sim.platform}"\n', "utf-8")
    async with serve() as gateway, gateway.ask(model="mine/kimi-k3") as reply:
        assert reply.status == 502  # the simulator does ask for one
    assert not any("authorization" in map(str.lower, seen.headers) for seen in sim.seen)
