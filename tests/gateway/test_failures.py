"""Truth on one account: what goes wrong upstream is told for what it is, and a broken answer never as a whole one."""

import asyncio
import socket
import time

import aiohttp
import pytest

from harness import Gateway, Serve, events, until
from moongate.simulator import CATALOGUE, Script, Simulator

LONG = "word " * 40

# Rows of the simulator's catalogue, the model to ask, and what the caller gets.
REFUSALS = {
    ("engine_overloaded", "kimi-k3"): (503, "upstream_error", "overloaded"),
    ("rate_limit_rpm", "kimi-k3"): (429, "rate_limit_error", "rate_limit_exceeded"),
    ("gateway_timeout_html", "kimi-k3"): (504, "upstream_error", "timed_out"),
    ("five_hour_quota", "k3"): (429, "insufficient_quota", "insufficient_quota"),
    ("coding_agents_only", "k3"): (403, "access_terminated_error", "client_barred"),
}

BREAKS = {
    "cut": Script(text=LONG, cut_after=5),
    "closed without an end": Script(text=LONG, close_after=5),
    "malformed chunk": Script(text=LONG, malformed_after=5),
    "error event": Script(text=LONG, error_after=5),
    "stall": Script(text=LONG, stall_after=5),
}


@pytest.fixture
async def hasty(sim: Simulator, serve: Serve):
    """A gateway that waits for nothing long and tries once."""
    environ = {
        "KIMI_API_KEY": "sk-example-platform-key",
        "KIMI_BASE_URL": sim.platform,
        "KIMI_CODE_API_KEY": "sk-kimi-example-code-key",
        "KIMI_API_BASE_URL": sim.kimi_code,
        "REQUEST_TIMEOUT": "0.6",
        "MOONGATE_STALL_TIMEOUT": "0.4",
        "MOONGATE_TOTAL_TIMEOUT": "3",
        "MAX_RETRIES": "0",
    }
    async with serve(environ) as started:
        yield started


@pytest.mark.parametrize(("name", "model"), REFUSALS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_has_a_status_a_type_and_an_origin(
    hasty: Gateway, sim: Simulator, name: str, model: str, stream: bool
) -> None:
    sim.enqueue(Script(refuse=name))
    async with hasty.ask(model=model, stream=stream) as reply:
        error = (await reply.json())["error"]
    assert (reply.status, error["type"], error["code"]) == REFUSALS[name, model]
    assert reply.headers["x-moongate-origin"] == "upstream"
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-moongate-attempts"] == "1"


@pytest.mark.parametrize("name", CATALOGUE)
async def test_no_refusal_tells_an_account_id_or_a_key(hasty: Gateway, sim: Simulator, name: str) -> None:
    sim.enqueue(Script(refuse=name))
    async with hasty.ask() as reply:
        text = await reply.text()
    assert 400 <= reply.status < 600
    for secret in ("<ak-", "org-", "{ak}", "sk-example-platform-key"):
        assert secret not in text
        assert secret not in str(hasty.log)


async def test_the_soonest_moment_of_recovery_is_told(hasty: Gateway, sim: Simulator) -> None:
    sim.enqueue(Script(refuse="engine_overloaded_retry_after"))
    async with hasty.ask() as reply:
        assert int(reply.headers["retry-after"]) > 0


@pytest.mark.parametrize("name", BREAKS)
async def test_a_stream_that_breaks_ends_in_an_error_event_and_never_in_done(
    hasty: Gateway, sim: Simulator, name: str
) -> None:
    sim.enqueue(BREAKS[name])
    async with hasty.ask(stream=True) as reply:
        body = await reply.read()
    told = events(body)
    assert reply.status == 200
    assert body.endswith(b": x-moongate-origin: upstream\n\n")
    assert "[DONE]" not in told
    assert any(chunk.get("choices") for chunk in told[:-1])
    assert told[-1]["error"]["message"]
    assert told[-1]["error"]["type"] in ("upstream_error", "invalid_request_error")
    assert all(choice["finish_reason"] is None for chunk in told[:-1] for choice in chunk["choices"])
    assert hasty.records()[-1]["outcome"] == "failed"


@pytest.mark.parametrize("name", BREAKS)
async def test_a_whole_reply_that_breaks_is_an_error_with_a_status(hasty: Gateway, sim: Simulator, name: str) -> None:
    sim.enqueue(BREAKS[name])
    async with hasty.ask() as reply:
        error = (await reply.json())["error"]
    assert reply.status in (502, 504), error
    assert reply.headers["x-moongate-origin"] == "upstream"


async def test_an_answer_that_only_lacks_its_terminator_is_whole_and_gets_one(hasty: Gateway, sim: Simulator) -> None:
    sim.enqueue(Script(text="all of it", omit_done=True))
    async with hasty.ask(stream=True) as reply:
        told = events(await reply.read())
    assert told[-1] == "[DONE]"
    assert told.count("[DONE]") == 1
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in told[:-1]) == "all of it"


async def test_an_upstream_that_lingers_after_the_end_does_not_keep_the_caller(hasty: Gateway, sim: Simulator) -> None:
    sim.enqueue(Script(text="done", hold_open_after_done=5))
    began = time.monotonic()
    async with hasty.ask(stream=True) as reply:
        assert events(await reply.read())[-1] == "[DONE]"
    assert time.monotonic() - began < 2


async def test_silence_after_the_reason_to_stop_takes_nothing_from_the_answer(hasty: Gateway, sim: Simulator) -> None:
    sim.enqueue(Script(text="done", omit_done=True, hold_open_after_done=5))
    async with hasty.ask(stream=True) as reply:
        told = events(await reply.read())
    assert told[-1] == "[DONE]"
    await until(lambda: bool(hasty.records()))
    assert hasty.records()[-1]["outcome"] == "answered"


async def test_silence_before_the_first_byte_is_a_504(hasty: Gateway, sim: Simulator) -> None:
    for script in (Script(silent_before_headers=30), Script(silent_before_first_chunk=30)):
        sim.enqueue(script)
        async with hasty.ask(stream=True) as reply:
            error = (await reply.json())["error"]
        assert (reply.status, error["code"]) == (504, "timed_out")
    await sim.settled()


async def test_a_drip_that_never_ends_meets_the_total_deadline(hasty: Gateway, sim: Simulator) -> None:
    sim.enqueue(Script(text="drip " * 1000, piece=1, pause=0.1))
    async with hasty.ask(stream=True) as reply:
        told = events(await reply.read())
    assert told[-1]["error"]["code"] == "out_of_time"


async def test_nobody_there_is_a_proxy_error(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    environ = {"KIMI_API_KEY": "sk-example-k", "KIMI_BASE_URL": f"http://127.0.0.1:{port}/v1", "MAX_RETRIES": "1"}
    async with serve(environ) as gateway:
        async with gateway.ask() as reply:
            error = (await reply.json())["error"]
        assert (reply.status, error["type"], error["code"]) == (502, "proxy_error", "unreachable")
        assert reply.headers["x-moongate-attempts"] == "2"
        async with gateway.http.get(f"{gateway.url}/health/ready") as ready:
            assert ready.status == 503


async def test_a_network_fault_before_the_first_word_is_tried_again(gateway: Gateway, sim: Simulator) -> None:
    sim.enqueue(Script(drop_before_headers=True))
    sim.enqueue(Script(close_after=1))
    async with gateway.ask(stream=True) as reply:
        assert events(await reply.read())[-1] == "[DONE]"
    assert reply.headers["x-moongate-attempts"] == "3"
    attempts = gateway.records()[-1]["attempts"]
    assert [attempt.get("error") for attempt in attempts] == ["unreachable", "truncated", None]


async def test_a_bad_request_is_tried_once(gateway: Gateway, sim: Simulator) -> None:
    async with gateway.ask(n=2) as reply:
        assert reply.status == 400
    assert len([seen for seen in sim.seen if seen.method == "POST"]) == 1


async def test_a_refused_key_of_ours_is_our_failure_and_a_callers_own_is_theirs(sim: Simulator, serve: Serve) -> None:
    environ = {"KIMI_API_KEY": "sk-kimi-of-the-wrong-product", "KIMI_BASE_URL": sim.platform, "CALLER_TOKENS": "on"}
    async with serve(environ) as gateway:
        async with gateway.ask() as reply:
            ours = (await reply.json())["error"]
        assert (reply.status, ours["type"]) == (502, "upstream_error")
        assert "three different things" in ours["message"]
        sim.enqueue(Script(refuse="invalid_authentication"))
        async with gateway.ask(headers={"authorization": "Bearer sk-example-of-a-caller"}) as reply:
            assert reply.status == 401
        assert gateway.records()[-1]["caller"] == "own …ller"


@pytest.mark.parametrize(
    "phase",
    [
        Script(silent_before_headers=30),
        Script(silent_before_first_chunk=30),
        Script(text=LONG, stall_after=4),
        Script(text=LONG * 20, piece=1, pause=0.02),
    ],
    ids=["before headers", "before the first chunk", "stalled", "streaming"],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_who_hangs_up_closes_the_upstream_at_once(
    gateway: Gateway, sim: Simulator, phase: Script, stream: bool
) -> None:
    sim.enqueue(phase)
    with pytest.raises((TimeoutError, aiohttp.ClientError)):
        async with asyncio.timeout(0.4), gateway.ask(stream=stream) as reply:
            await reply.read()
    hung_up = time.monotonic()
    async with asyncio.timeout(2):
        await sim.settled()
    seen = sim.seen[-1]
    assert seen.ended == "hung_up"
    assert seen.hung_up_at - hung_up < 0.25
    await until(lambda: gateway.running.pool.statistics().leased == 0)
    assert gateway.running.transport.statistics().open == 0
    assert gateway.records()[-1]["outcome"] == "hung up"


async def test_silence_is_filled_with_comments_before_and_after_the_first_byte(sim: Simulator, serve: Serve) -> None:
    environ = {"KIMI_API_KEY": "sk-example-k", "KIMI_BASE_URL": sim.platform, "MOONGATE_HEARTBEAT": "0.1"}
    async with serve(environ) as gateway:
        sim.enqueue(Script(text="late", silent_before_first_chunk=0.55))
        async with gateway.ask(stream=True, temperature=0) as reply:
            body = await reply.read()
        before, _, after = body.partition(b"data: ")
        assert before.count(b": still working") >= 3
        assert b"x-moongate-route: moonshot/kimi-k3" in before  # the headers had left before it was known
        assert b"temperature left out" in before
        assert events(body)[-1] == "[DONE]"
        sim.enqueue(Script(text="a" * 24, pause=0.35))
        async with gateway.ask(stream=True) as reply:
            _, _, after = (await reply.read()).partition(b"data: ")
        assert after.count(b": still working") >= 2


async def test_a_refusal_after_the_first_heartbeat_ends_the_stream_with_its_error(sim: Simulator, serve: Serve) -> None:
    environ = {
        "KIMI_API_KEY": "sk-example-k",
        "KIMI_BASE_URL": sim.platform,
        "MOONGATE_HEARTBEAT": "0.1",
        "REQUEST_TIMEOUT": "0.5",
        "MAX_RETRIES": "0",
    }
    async with serve(environ) as gateway:
        sim.enqueue(Script(silent_before_headers=30))
        async with gateway.ask(stream=True) as reply:
            body = await reply.read()
        assert reply.status == 200
        assert "x-moongate-attempts" not in reply.headers  # nobody knew yet how many it would be
        assert b": x-moongate-attempts: 1\n" in body
        assert [event["error"]["code"] for event in events(body)] == ["timed_out"]
