"""The last boundary: what nobody foresaw costs one request, and tells nothing it should not."""

import socket
from collections.abc import Callable

import aiohttp
import pytest
import structlog
from starlette.types import Receive, Scope, Send

from moongate.core.exchange import Record
from moongate.dialects.openai_chat.server import OpenAIChat
from moongate.http.server import Server
from moongate.serving import server_of, serving_on


async def before(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("a bug, and Bearer sk-example-in-a-message beside it")


async def amid(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError("a bug")


class Watching:
    def __init__(self) -> None:
        self.records: list[Record] = []

    def observe(self, record: Record) -> None:
        self.records.append(record)


async def _ask(app: Callable[..., object]) -> tuple[int, bytes, Watching, list[object]]:
    watching = Watching()
    server = Server({"/x": app}, before, OpenAIChat(), [watching], allowed_origins=("*",), trusted_proxies=())
    with socket.create_server(("127.0.0.1", 0)) as listening, structlog.testing.capture_logs() as log:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        async with (
            serving_on(listening, server_of(server)),
            aiohttp.ClientSession() as http,
            http.post(url, data=b"x") as reply,
        ):
            return reply.status, await reply.read(), watching, log


async def test_a_bug_is_a_500_in_json_that_names_the_request() -> None:
    status, body, watching, log = await _ask(before)
    record = watching.records[0].exchange
    assert status == 500
    assert record.request_id.encode() in body
    assert b'"gateway_error"' in body
    assert b"a bug" not in body
    assert record.failure is not None
    assert record.failure.kind.origin == "gateway"
    trace = str(log)
    assert "RuntimeError: a bug" in trace
    assert "sk-example-in-a-message" not in trace


async def test_a_bug_in_the_middle_cuts_the_reply_so_that_nobody_takes_it_for_whole() -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        await _ask(amid)
