"""A simulator on a port of its own, and a client that asks it over TCP."""

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import msgspec
import pytest

from moongate.simulator import Script, Simulator, simulator

KEY = "sk-example-1234"
CODE_KEY = "sk-kimi-example-5678"


class Got(msgspec.Struct, frozen=True):
    """An answer as it was read."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def data(self) -> list[str]:
        """The payloads of the data lines."""
        # Not splitlines: JSON may carry U+0085 and U+2028 as they are.
        lines = self.raw.decode().replace("\r\n", "\n").split("\n")
        return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]

    @property
    def chunks(self) -> list[Any]:
        assert self.data[-1] == "[DONE]"
        return [json.loads(data) for data in self.data[:-1]]

    @property
    def deltas(self) -> list[dict[str, Any]]:
        return [choice["delta"] for chunk in self.chunks for choice in chunk["choices"]]

    def joined(self, member: str) -> str:
        return "".join(delta.get(member, "") for delta in self.deltas)


Ask = Callable[..., Awaitable[Got]]


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with simulator() as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


@pytest.fixture
def ask(sim: Simulator, session: aiohttp.ClientSession) -> Ask:
    """Ask for a chat completion; keyword arguments become members of the body."""

    async def ask_(text: str = "Hi", script: Script | None = None, code: bool = False, **members: object) -> Got:
        if script is not None:
            sim.enqueue(script)
        model = "kimi-for-coding" if code else "kimi-k3"
        body = {"model": model, "messages": [{"role": "user", "content": text}], **members}
        base, key = (sim.kimi_code, CODE_KEY) if code else (sim.platform, KEY)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        data = io.BytesIO(json.dumps(body).encode())
        async with session.post(f"{base}/chat/completions", data=data, headers=headers) as response:
            return Got(response.status, response.headers, await response.read())

    return ask_
