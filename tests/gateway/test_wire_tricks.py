"""What clients and attackers do on the wire that a program above HTTP never sees, spoken byte by byte."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from harness import Gateway, Serve, until
from moongate.http.protocol import Protocol
from moongate.simulator import Script, Simulator

BODY = json.dumps({"model": "kimi-k3", "messages": [{"role": "user", "content": "hi"}]}).encode()
STREAMED = BODY.replace(b'"model"', b'"stream":true,"model"')


def post(body: bytes, *headers: bytes) -> bytes:
    lines = (b"POST /v1/chat/completions HTTP/1.1", b"host: x", b"content-length: %d" % len(body), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@asynccontextmanager
async def connected(gateway: Gateway) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def replies(reader: asyncio.StreamReader, count: int) -> list[tuple[int, bytes]]:
    found = []
    async with asyncio.timeout(5):
        for _ in range(count):
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if line)
            found.append((int(head.split()[1]), await reader.readexactly(int(fields[b"content-length"]))))
    return found


@pytest.mark.parametrize("apart", [False, True])
async def test_an_offer_to_upgrade_is_ignored_and_costs_no_body(gateway: Gateway, apart: bool) -> None:
    """Java's client offers HTTP/2 with every request."""
    offer = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAAB")
    request = post(BODY, *offer)
    head, _, body = request.partition(b"\r\n\r\n")
    async with connected(gateway) as (reader, writer):
        for part in (head + b"\r\n\r\n", body) if apart else (request,):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
        [(status, answer)] = await replies(reader, 1)
    assert status == 200, answer


async def test_a_body_is_never_read_as_a_second_request(gateway: Gateway) -> None:
    hidden = b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
    async with connected(gateway) as (reader, writer):
        writer.write(post(hidden, b"Connection: Upgrade", b"Upgrade: h2c"))
        [(status, _)] = await replies(reader, 1)
        assert status == 400
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.readexactly(1)


@pytest.mark.parametrize("cut", [False, True], ids=["behind another", "cut in two"])
async def test_an_offer_that_hides_is_hung_up_on(gateway: Gateway, sim: Simulator, cut: bool) -> None:
    hidden = post(BODY.replace(b"hi", b"hidden"))
    offer = post(hidden, b"Connection: Upgrade", b"Upgrade: h2c")
    at = offer.index(b"grade: h2c")
    parts = [offer[:at], offer[at:]] if cut else [b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" + offer]
    async with connected(gateway) as (reader, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            await reader.read()
    assert b"hidden" not in b"".join(seen.body for seen in sim.seen)


@pytest.mark.parametrize("begun", [b"", b"GET /health HTTP/1.1\r\nhost: "])
async def test_a_head_that_does_not_come_is_not_waited_for(serve: Serve, begun: bytes) -> None:
    class Hasty(Protocol):
        head_wait = 0.1

    async with serve({}) as gateway:
        gateway.server.config.http_protocol_class = Hasty
        async with connected(gateway) as (reader, writer):
            writer.write(begun)
            async with asyncio.timeout(2):
                assert await reader.read() == b""
        async with connected(gateway) as (reader, writer):
            for _ in range(3):
                writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
                assert [status for status, _ in await replies(reader, 1)] == [200]
                await asyncio.sleep(0.15)  # between requests it is uvicorn's keep-alive that counts


async def test_requests_in_a_row_are_answered_in_a_row(gateway: Gateway) -> None:
    async with connected(gateway) as (reader, writer):
        writer.write(post(BODY) + b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n" + post(BODY))
        assert [status for status, _ in await replies(reader, 3)] == [200, 200, 200]


async def test_a_hang_up_is_noticed_though_another_request_waits_behind(gateway: Gateway, sim: Simulator) -> None:
    sim.enqueue(Script(text="word " * 20, stall_after=3))
    async with connected(gateway) as (reader, writer):
        writer.write(post(STREAMED) + b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"data: ")
    async with asyncio.timeout(1):
        await sim.settled()
    assert sim.seen[-1].ended == "hung_up"
    await until(lambda: gateway.running.pool.statistics().leased == 0)


async def test_trailers_are_no_headers(gateway: Gateway) -> None:
    chunked = b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n"
    trailers = b"x-request-id: from-the-trailer\r\nauthorization: Bearer sk-example-trailer\r\n" + b"a: b\r\n" * 1000
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-request-id: from-the-head\r\ntransfer-encoding: chunked"
    async with connected(gateway) as (reader, writer):
        writer.write(head + b"\r\n\r\n" + chunked + trailers + b"\r\n")
        [(status, _)] = await replies(reader, 1)
    assert status == 200
    await until(lambda: bool(gateway.records()))
    assert gateway.records()[-1]["request_id"] == "from-the-head"
    assert gateway.records()[-1]["caller"] == "anonymous"


async def test_a_page_of_a_name_that_was_made_to_point_here_may_not_ask(serve: Serve) -> None:
    async with serve({"ALLOWED_ORIGINS": "https://app.example"}) as gateway:
        port = gateway.url.rsplit(":", 1)[1]
        for host, status in ((f"evil.example:{port}", 403), (f"127.0.0.1:{port}", 200), (f"localhost:{port}", 200)):
            async with gateway.ask(headers={"host": host, "origin": f"http://{host}"}) as reply:
                assert reply.status == status, host


async def test_a_nested_body_is_refused_or_passed_on_at_every_depth(gateway: Gateway) -> None:
    for depth in range(840, 1010, 10):
        thinking = "[" * depth + "]" * depth
        body = BODY[:-1] + f',"thinking":{thinking}}}'.encode()
        async with gateway.http.post(gateway.chat_url, data=body) as reply:
            assert reply.status in (200, 400), depth


async def test_several_answers_are_not_folded_into_one(gateway: Gateway, sim: Simulator) -> None:
    for _ in range(4):
        sim.enqueue(Script(text="one of two", choices=2, answer_as="stream"))
    async with gateway.ask(n=2, headers={"x-moongate-params": "pass"}) as reply:
        assert reply.status in (400, 502)


async def test_a_reply_told_anew_says_so(gateway: Gateway, sim: Simulator) -> None:
    sim.enqueue(Script(text="x", answer_as="stream"))
    async with gateway.ask() as reply:
        assert "told anew" in reply.headers["x-moongate-notes"]


async def test_a_caller_with_a_key_of_their_own_is_told_their_own_models(sim: Simulator, serve: Serve) -> None:
    own = {"authorization": "Bearer sk-kimi-example-own"}
    async with serve({"KIMI_API_BASE_URL": sim.kimi_code}) as gateway:
        async with gateway.http.get(f"{gateway.url}/v1/models", headers=own) as reply:
            names = [model["id"] for model in (await reply.json())["data"]]
        assert "kimi-for-coding-thinking" in names
        assert "kimi-k3" not in names
        async with gateway.ask(model="moonshot/kimi-k3", headers=own) as reply:
            assert (reply.status, reply.headers["x-moongate-origin"]) == (404, "caller")
        for other in ("sk-proj-example", "sk-ant-example", "sk-or-v1-example"):
            async with gateway.ask(headers={"authorization": f"Bearer {other}"}) as reply:
                assert reply.headers["x-moongate-route"] == "simulator/kimi-k3"
