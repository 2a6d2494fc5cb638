"""A gateway that is really served, on loopback, in the test's own event loop."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import structlog
import uvicorn

from moongate.app import Running, doors, running
from moongate.serving import server_of, serving_on
from moongate.settings import load


@dataclass
class Gateway:
    """A gateway that is being served, and a client to speak to it with."""

    url: str
    running: Running
    server: uvicorn.Server
    http: aiohttp.ClientSession
    log: list[Mapping[str, object]]
    new_key: str | None

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
        async with (
            running(settings, entrance.policy) as gateway,
            serving_on(listening, server := server_of(gateway.app)),
            aiohttp.ClientSession() as http,
        ):
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            yield Gateway(url, gateway, server, http, log, entrance.new_key)
            server.force_exit = True


def events(body: bytes) -> list[object]:
    """The data of a stream's events, JSON read."""
    lines = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: ")]
    return ["[DONE]" if line == b"[DONE]" else json.loads(line) for line in lines]


async def until(holds: Callable[[], bool], seconds: float = 2.0) -> None:
    """Waits for something that nobody announces. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
