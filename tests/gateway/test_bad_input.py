"""Whatever is sent: a clear error in the right shape, and a gateway that goes on."""

import asyncio
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import Gateway, Serve, until

GOOD = {"model": "kimi-k3", "messages": [{"role": "user", "content": "hi"}]}


def _with(**fields: object) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


# what is sent, and what the message must name
BODIES = {
    "empty": (b"", "JSON"),
    "half": (b'{"model": "kimi', "JSON"),
    "position": (b'{"model": "kimi-k3", oops}', "byte 21"),
    "not an object": (b"[1, 2]", "object"),
    "a number": (b"5", "object"),
    "bare NUL": (b'{"model":"a\x00b","messages":[]}', "JSON"),
    "invalid UTF-8": (b'{"model":"\xff\xfe","messages":[{"role":"user","content":"x"}]}', "JSON"),
    "NaN": (b'{"model":"kimi-k3","temperature":NaN}', "JSON"),
    "deep": (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "deep messages": (b'{"model":"m","messages":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}", "messages"),
    "duplicate key": (b'{"model":"kimi-k3","model":"other","messages":[{"role":"user"}]}', "'model' twice"),
    "model missing": (b'{"messages":[{"role":"user","content":"x"}]}', "model: this field is required"),
    "messages missing": (b'{"model":"kimi-k3"}', "messages: this field is required"),
    "model a number": (_with(model=5), "model: expected `str`, got `int`"),
    "messages a text": (_with(messages="hi"), "messages: expected `array`"),
    "messages empty": (_with(messages=[]), "messages: expected `array` of length >= 1"),
    "role missing": (_with(messages=[{"content": "x"}]), "messages[0].role: this field is required"),
    "content a number": (_with(messages=[{"role": "user", "content": 5}]), "messages[0].content: expected"),
    "part a text": (_with(messages=[{"role": "user", "content": ["x"]}]), "messages[0].content[0]"),
    "stream a text": (_with(stream="yes"), "stream: expected `bool | null`"),
    "temperature a text": (_with(temperature="hot"), "temperature: expected"),
    "tools an object": (_with(tools={}), "tools: expected"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_bad_body_is_a_400_that_says_where(gateway: Gateway, name: str) -> None:
    body, named = BODIES[name]
    async with gateway.http.post(gateway.chat_url, data=body) as reply:
        error = (await reply.json())["error"]
    assert reply.status == 400, error
    assert reply.headers["x-moongate-origin"] == "caller"
    assert error["type"] == "invalid_request_error"
    assert named in error["message"]
    await _still_works(gateway)


async def test_a_body_over_the_limit_is_a_413_even_while_it_is_still_being_sent(serve: Serve) -> None:
    async with serve({"MOONGATE_MAX_BODY": "100k"}) as gateway:
        for size in (102_500, 300_000, 3_000_000):
            async with gateway.http.post(gateway.chat_url, data=io.BytesIO(_with(x="y" * size))) as reply:
                error = (await reply.json())["error"]
            assert (reply.status, error["code"]) == (413, "request_too_large")
            assert "102400 bytes" in error["message"]

        async def drip():
            for _ in range(30):
                yield b" " * 10_000

        async with gateway.http.post(gateway.chat_url, data=drip()) as reply:
            assert reply.status == 413
        await _still_works(gateway)


async def test_the_default_limit_lets_large_images_through(gateway: Gateway) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 8_000_000}}
    body = io.BytesIO(_with(messages=[{"role": "user", "content": [image]}]))
    async with gateway.http.post(gateway.chat_url, data=body) as reply:
        assert reply.status == 200, await reply.text()


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx: a\x00b\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_in_json(gateway: Gateway, said: bytes) -> None:
    status, body = await _raw(gateway, said)
    assert status == 400
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    await _still_works(gateway)


@pytest.mark.parametrize(
    "headers",
    [
        b"".join(b"x-%d: %s\r\n" % (n, b"v" * 1000) for n in range(100)) + b"\r\n",
        b"x: " + b"v" * 300_000 + b"\r\n\r\n",
        b"x: " + b"v" * 5_000_000,
    ],
    ids=["many", "one long", "one without end"],
)
async def test_headers_without_measure_are_refused(gateway: Gateway, headers: bytes) -> None:
    status, body = await _raw(gateway, b"GET /v1/models HTTP/1.1\r\nhost: x\r\n" + headers)
    assert status == 431
    assert json.loads(body)["error"]["code"] == "headers_too_large"
    await _still_works(gateway)


async def test_odd_but_lawful_headers_do_no_harm(gateway: Gateway) -> None:
    odd = {
        "x-request-id": "x" * 500,
        "authorization": "Bearer \x80\xff, ,,",
        "x-api-key": "é",
        "accept-encoding": "gzip",
        "content-type": "text/plain; charset=\x7f".replace("\x7f", "?"),
        "x-moongate-buffered": "maybe",
    }
    async with gateway.ask(headers=odd) as reply:
        assert reply.status == 200


@pytest.mark.parametrize("params", ["", "ADAPT", "everything"])
async def test_a_mode_that_is_none_is_refused_by_name(gateway: Gateway, params: str) -> None:
    async with gateway.ask(headers={"x-moongate-params": params}) as reply:
        assert reply.status == (200 if params == "ADAPT" else 400)


async def test_a_compressed_body_is_refused_by_name(gateway: Gateway) -> None:
    async with gateway.http.post(gateway.chat_url, data=_with(), headers={"content-encoding": "gzip"}) as reply:
        assert "compressed" in (await reply.json())["error"]["message"]


async def test_names_full_of_surprises_are_told_on_one_line(gateway: Gateway) -> None:
    for name in ("kimi\nk3", "\x00", "é" * 200, "sk-example-secret-as-a-model", "../../etc/passwd", "moonshot/"):
        async with gateway.ask(model=name) as reply:
            error = (await reply.json())["error"]
        assert reply.status == 404
        assert "\n" not in error["message"]
    assert "sk-example-secret" not in str(gateway.log)
    async with gateway.http.get(f"{gateway.url}/x%0aevil%00?key=sk-example-in-a-query") as reply:
        assert reply.status == 404
    assert "\n" not in str(gateway.records()[-1]["path"])
    assert "sk-example-in-a-query" not in str(gateway.log)


async def test_a_caller_who_leaves_while_still_sending_costs_nothing(gateway: Gateway) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    await writer.wait_closed()
    await until(lambda: bool(gateway.records()))
    assert gateway.records()[0]["outcome"] == "hung up"
    await _still_works(gateway)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
FIELDS = st.sampled_from(
    ["model", "messages", "stream", "tools", "tool_choice", "temperature", "thinking", "stream_options", "n", "x"]
)
REQUESTS = st.dictionaries(FIELDS, JSON, max_size=6).map(lambda fields: json.dumps({**GOOD, **fields}).encode())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.one_of(st.binary(max_size=200), JSON.map(lambda value: json.dumps(value).encode()), REQUESTS))
def test_nothing_that_is_sent_breaks_the_gateway(body: bytes, loop_with_gateway) -> None:
    loop, gateway = loop_with_gateway

    async def ask() -> None:
        async with gateway.http.post(gateway.chat_url, data=body) as reply:
            text = await reply.read()
            assert reply.status in (200, 400, 404), text
            assert reply.headers["x-request-id"]
            if reply.status != 200:
                assert set(json.loads(text)["error"]) == {"message", "type", "param", "code"}

    loop.run_until_complete(ask())


@pytest.fixture
def loop_with_gateway(serve: Serve):
    """One gateway for all examples: hypothesis is not asynchronous."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        context = serve({})
        gateway = loop.run_until_complete(context.__aenter__())
        yield loop, gateway
        loop.run_until_complete(context.__aexit__(None, None, None))


async def _still_works(gateway: Gateway) -> None:
    async with gateway.ask() as reply:
        assert reply.status == 200


async def _raw(gateway: Gateway, said: bytes) -> tuple[int, bytes]:
    """Speaks to the socket itself. A refusal may come before everything was sent."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(said)
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if line)
            body = await reader.readexactly(int(fields[b"content-length"]))
    finally:
        writer.close()
    return int(head.split()[1]), body
