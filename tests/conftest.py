"""A gateway and a simulator, both real servers on loopback, in the test's own event loop."""

import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import structlog
import uvicorn

from moongate.app import Running, doors, running
from moongate.serving import server_config
from moongate.settings import load
from moongate.simulator import Simulator, simulator

PLATFORM_KEY = "sk-example-platform-key"
CODE_KEY = "sk-kimi-example-code-key"


@dataclass
class Gateway:
    """A gateway that is being served, and a client to speak to it with."""

    url: str
    running: Running
    http: aiohttp.ClientSession
    log: list[Mapping[str, object]]
    new_key: str | None = None
    server: uvicorn.Server = field(repr=False, default=None)  # type: ignore[assignment]

    @property
    def chat_url(self) -> str:
        return f"{self.url}/v1/chat/completions"

    def ask(self, content: str = "hello", *, headers: Mapping[str, str] | None = None, **fields: object):
        """A chat completion, as an aiohttp request to be entered."""
        body = {"model": "kimi-k3", "messages": [{"role": "user", "content": content}], **fields}
        return self.http.post(self.chat_url, json=body, headers=headers)

    def records(self) -> list[Mapping[str, object]]:
        """The log's records of requests, the latest last."""
        return [entry for entry in self.log if entry["event"] == "request"]


Serve = Callable[..., AbstractAsyncContextManager[Gateway]]


@asynccontextmanager
async def served(environ: Mapping[str, str], directory: Path) -> AsyncIterator[Gateway]:
    settings = load(environ={"API_PORT": "0", **environ}, directory=directory)
    entrance = doors(settings)
    with socket.create_server(("127.0.0.1", 0)) as listening, structlog.testing.capture_logs() as log:
        async with running(settings, entrance.policy) as gateway:
            server = uvicorn.Server(server_config(gateway.app))
            server.config.load()
            server.lifespan = server.config.lifespan_class(server.config)
            await server.startup(sockets=[listening])
            try:
                async with aiohttp.ClientSession() as http:
                    port = listening.getsockname()[1]
                    yield Gateway(f"http://127.0.0.1:{port}", gateway, http, log, entrance.new_key, server)
            finally:
                server.force_exit = True
                await server.shutdown(sockets=[listening])


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with simulator() as server:
        yield server


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Starts a gateway with exactly these variables set, in an empty directory."""

    def start(environ: Mapping[str, str] | None = None) -> AbstractAsyncContextManager[Gateway]:
        return served(environ or {}, tmp_path)

    return start


@pytest.fixture
async def gateway(sim: Simulator, serve: Serve) -> AsyncIterator[Gateway]:
    """A gateway with one account at each of the simulator's two products."""
    environ = {
        "KIMI_API_KEY": PLATFORM_KEY,
        "KIMI_BASE_URL": sim.platform,
        "KIMI_CODE_API_KEY": CODE_KEY,
        "KIMI_API_BASE_URL": sim.kimi_code,
    }
    async with serve(environ) as started:
        yield started


def events(body: bytes) -> list[object]:
    """The data of a stream's events, JSON read."""
    lines = [line.removeprefix("data: ") for line in body.decode().splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]
