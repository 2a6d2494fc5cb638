"""The HTTP client: connections are used again, proxies obeyed, and what it cannot do is told as what it is."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from harness import Gateway, until
from moongate.core.errors import GatewayError, Kind
from moongate.simulator import Script, Simulator
from moongate.upstreams.transport import AiohttpTransport, proxy
from moongate.wire.http import HttpCall


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


async def test_a_connection_is_used_again_after_a_whole_reply_and_after_a_stream(
    gateway: Gateway, sim: Simulator
) -> None:
    async with gateway.http.get(f"{gateway.url}/v1/models"):
        pass  # so that the lists asked for at the start have come
    before = sim.connections
    for stream in (False, True, True, False, True):
        async with gateway.ask(stream=stream) as reply:
            await reply.read()
        await until(lambda: gateway.running.transport.statistics().open == 0)
    assert sim.connections == before


async def test_a_reply_left_in_the_middle_costs_its_connection_and_nothing_more(
    gateway: Gateway, sim: Simulator
) -> None:
    sim.enqueue(Script(text="word " * 20, stall_after=3))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), gateway.ask(stream=True) as reply:
            await reply.read()
    async with gateway.ask() as reply:
        assert reply.status == 200


@pytest.mark.parametrize(
    ("variables", "url", "expected"),
    [
        ({}, "https://api.moonshot.cn", None),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, "https://api.moonshot.cn", "http://proxy.example:3128"),
        ({"https_proxy": "http://proxy.example:3128"}, "https://api.moonshot.cn", "http://proxy.example:3128"),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, "http://api.moonshot.cn", None),
        ({"HTTPS_PROXY": "http://p.example", "NO_PROXY": "moonshot.cn"}, "https://api.moonshot.cn", None),
        ({"HTTPS_PROXY": "http://p.example", "NO_PROXY": "*"}, "https://api.moonshot.cn", None),
        ({"HTTP_PROXY": "http://p.example"}, "http://127.0.0.1:9000", None),
        ({"HTTP_PROXY": "http://p.example"}, "http://localhost:9000", None),
        ({"HTTP_PROXY": "http://p.example"}, "http://[::1]:9000", None),
    ],
)
def test_the_proxy_variables_are_obeyed(environ: pytest.MonkeyPatch, variables, url: str, expected) -> None:
    for name, value in variables.items():
        environ.setenv(name, value)
    assert proxy(URL(url)) == expected


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1080", "proxy.example:3128"])
async def test_a_proxy_of_another_kind_is_refused_by_name(environ: pytest.MonkeyPatch, address: str) -> None:
    environ.setenv("HTTPS_PROXY", address)
    async with AiohttpTransport() as transport:
        with pytest.raises(GatewayError, match="HTTPS_PROXY names a proxy of a kind that is not supported") as caught:
            await transport.fetch(HttpCall("GET", "https://upstream.example/"))
    assert caught.value.kind is Kind.MISDIRECTED


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n", "the proxy on the way to the upstream answered 407"),
        (None, "cannot connect to the proxy 127.0.0.1:"),
    ],
)
async def test_the_password_of_a_proxy_is_not_told(environ: pytest.MonkeyPatch, answer, told: str) -> None:
    async with _proxy(answer or b"") as (address, _), AiohttpTransport() as transport:
        port = address.rsplit(":", 1)[1] if answer else _nobody()
        environ.setenv("HTTPS_PROXY", f"http://somebody:s3cretpw@127.0.0.1:{port}")
        with pytest.raises(GatewayError) as caught:
            await transport.fetch(HttpCall("GET", "https://upstream.example/"))
    assert told in caught.value.message
    assert "s3cretpw" not in caught.value.message


async def test_calls_go_through_the_proxy(environ: pytest.MonkeyPatch) -> None:
    async with _proxy() as (address, asked), AiohttpTransport() as transport:
        environ.setenv("HTTP_PROXY", address)
        reply = await transport.fetch(HttpCall("POST", "http://upstream.example/v1/x", {"authorization": "Bearer k"}))
    assert reply.body == b"ok"
    assert asked[0].startswith(b"POST http://upstream.example/v1/x HTTP/1.1")


async def test_credentials_in_a_netrc_are_not_used_and_do_no_harm(environ: pytest.MonkeyPatch, tmp_path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password something\n")
    environ.setenv("NETRC", str(netrc))
    async with _proxy() as (address, asked), AiohttpTransport() as transport:
        await transport.fetch(HttpCall("GET", f"{address}/v1/models", {"authorization": "Bearer k"}))
    assert b"bearer k" in asked[0].lower()
    assert b"basic" not in asked[0].lower()


async def test_malformed_http_is_told_as_such() -> None:
    async with _proxy(b"HTTP/1.1 200 OK\r\nbad header\x00\r\n") as (address, _), AiohttpTransport() as transport:
        with pytest.raises(GatewayError) as caught:
            await transport.fetch(HttpCall("GET", address))
    assert caught.value.kind is Kind.PROTOCOL


def _nobody() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return int(closed.getsockname()[1])


async def test_nobody_there_is_unreachable() -> None:
    port = _nobody()
    async with AiohttpTransport() as transport:
        for url in (f"http://127.0.0.1:{port}/", "http://no.such.host.invalid/"):
            with pytest.raises(GatewayError) as caught:
                await transport.fetch(HttpCall("GET", url))
            assert caught.value.kind is Kind.UNREACHABLE
        assert transport.statistics().open == 0


async def test_a_redirect_is_not_followed() -> None:
    redirect = b"HTTP/1.1 302 Found\r\nlocation: http://elsewhere.example/\r\n"
    async with _proxy(redirect) as (address, _), AiohttpTransport() as transport:
        reply = await transport.fetch(HttpCall("GET", address, {"authorization": "Bearer k"}))
    assert reply.head.status == 302


@asynccontextmanager
async def _proxy(head: bytes = b"HTTP/1.1 200 OK\r\n") -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers everything with `ok`, and what it was asked."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(head + b"content-length: 2\r\nconnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
