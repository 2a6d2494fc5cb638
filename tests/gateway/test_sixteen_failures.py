"""Sixteen ways in which an upstream fails, and for each: what the caller sees, what the upstreams saw, and by when.

None of them may end as an answer that was cut short and looks whole. In live mode the caller gets the whole answer or
an error; where another account can answer, and the caller hears nothing before the end, always the whole answer.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from msgspec import Struct

from harness import Gateway, events, served, until
from moongate.simulator import Simulator
from moongate.simulator.refusals import Refusal
from moongate.simulator.script import Script

WORDS = "one two three four five six seven eight nine ten eleven twelve."
PATIENCE = 0.6
"""Seconds the gateway waits for a first byte, and between two."""

PLATFORM = ("sk-example-account-aaaa", "sk-example-account-bbbb")
CODING = ("sk-kimi-example-account-aaaa", "sk-kimi-example-account-bbbb")
OVERLOADED = "engine_overloaded"
FLAPPING = Refusal(status=503, body={"error": {"message": "server unavailable", "type": "server_unavailable"}})


def said(**faults: object) -> Script:
    return Script(text=WORDS, reasoning="", **faults)  # type: ignore[arg-type]


class Scenario(Struct, frozen=True):
    """`scripts` answer the first requests, in order; all later ones are answered well. `live` and `held`: the error's
    code a stream ends with, and a whole or held-back reply, empty for a whole answer. `tried`, `tried_held` and
    `tried_whole`: which accounts were asked, and what came of each. `status` of an error before
    the first word. `seconds`: the bound."""

    name: str
    scripts: tuple[Script, ...]
    tried: str
    live: str = ""
    held: str = ""
    tried_held: str = ""
    tried_whole: str = ""
    status: int = 200
    seconds: float = 2.0
    model: str = "kimi-k3"
    first_is_dead: bool = False


LIMITED = said(refuse=Refusal(status=429, headers={"Retry-After": "7"}, body={"error": {"message": "slow down"}}))

SCENARIOS = (
    Scenario("429 with Retry-After", (LIMITED,), "a:rate_limited b:"),
    Scenario("429 without", (said(refuse="rate_limit_tpm"),), "a:rate_limited b:"),
    Scenario("500 once", (said(refuse="server_error"),), "a:failed b:"),
    Scenario("503 flapping", (said(refuse=FLAPPING),) * 3, "a:failed b:failed a:failed b:", seconds=4),
    Scenario("connect refused", (), "a:unreachable b:", first_is_dead=True),
    Scenario("silence before headers", (said(silent_before_headers=60),), "a:timed_out b:"),
    Scenario("silence before the first chunk", (said(silent_before_first_chunk=60),), "a:timed_out b:"),
    Scenario("stall mid-stream", (said(stall_after=3),), "a:", "timed_out", tried_held="a:timed_out b:"),
    Scenario("cut mid-stream", (said(cut_after=3),), "a:", "truncated_reply", tried_held="a:truncated b:"),
    Scenario("ended mid-stream", (said(close_after=3),), "a:", "truncated_reply", tried_held="a:truncated b:"),
    Scenario("cut before [DONE]", (said(omit_done=True, cut_after=1000),), "a:"),
    Scenario(
        "malformed chunk in the middle", (said(malformed_after=3),), "a:", "malformed_reply", tried_held="a:protocol b:"
    ),
    Scenario(
        "error event mid-stream",
        (said(refuse="server_error", error_after=3),),
        "a:",
        "upstream_failed",
        tried_held="a:failed b:",
        tried_whole="a:protocol b:",  # in the middle of a JSON document it is only rubble
    ),
    Scenario("400", (said(refuse="invalid_request"),), "a:request_refused", "null", held="null", status=400),
    Scenario("401 that nothing renews", (said(refuse="invalid_authentication"),), "a:credential_refused b:"),
    Scenario("403 that means used-up quota", (said(refuse="five_hour_quota"),), "a:quota_exhausted b:", model="k3"),
    Scenario(
        "403 that bars the client",
        (said(refuse="coding_agents_only"),),
        "a:client_barred",
        "client_barred",
        held="client_barred",
        status=403,
        model="k3",
    ),
    Scenario(
        "whole pool overloaded",
        (said(refuse=OVERLOADED),) * 20,
        "a:overloaded b:overloaded a:overloaded b:overloaded",
        "overloaded",
        held="overloaded",
        status=503,
        seconds=4,
    ),
)

modes = pytest.mark.parametrize("mode", ["live", "whole", "buffered"])
each = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)


@asynccontextmanager
async def two_accounts(sim: Simulator, scenario: Scenario, home: Path) -> AsyncIterator[Gateway]:
    coding = scenario.model == "k3"
    keys, upstream = (CODING, "kimi-code") if coding else (PLATFORM, "moonshot")
    good = sim.kimi_code if coding else sim.platform
    urls = ("http://127.0.0.1:9/v1" if scenario.first_is_dead else good, good)
    (home / "moongate.toml").write_text(
        "".join(
            f'[[accounts]]\nname = "{name}"\nupstream = "{upstream}"\ncredential = "{key}"\nbase_url = "{url}"\n'
            for name, key, url in zip("ab", keys, urls, strict=True)
        )
    )
    patience = {"REQUEST_TIMEOUT": str(PATIENCE), "MOONGATE_STALL_TIMEOUT": str(PATIENCE)}
    async with served(patience, home) as gateway:
        yield gateway


@modes
@each
async def test_none_ends_as_an_answer_cut_short(sim: Simulator, scenario: Scenario, mode: str, tmp_path: Path) -> None:
    for script in scenario.scripts:
        sim.enqueue(script)
    # What comes after the faults is said by the request itself.
    content = f"simulate: {json.dumps({'text': WORDS, 'reasoning': ''})}"
    async with two_accounts(sim, scenario, tmp_path) as gateway:
        began = time.monotonic()
        headers = {"x-moongate-buffered": "true"} if mode == "buffered" else {}
        ask = gateway.ask(content, model=scenario.model, stream=mode != "whole", headers=headers)
        async with ask as reply:
            body = await reply.read()
        seconds = time.monotonic() - began
        await sim.settled()
    (record,) = gateway.records()
    tried = " ".join(f"{attempt['account']}:{attempt.get('error', '')}" for attempt in record["attempts"])
    expected_error = scenario.live if mode == "live" else scenario.held
    expected_tries = tries(scenario, mode)
    told, error, complete = heard(body, reply)
    assert tried == expected_tries
    assert error == expected_error
    assert seconds < scenario.seconds
    if expected_error:
        assert not complete
        assert WORDS.startswith(told)
        assert reply.status == scenario.status
        assert record["outcome"] in ("failed", "refused")
    else:
        assert complete
        assert told == WORDS
        assert record["outcome"] == "answered"
    seen = [request.headers["authorization"][-4:] for request in sim.seen if "chat" in request.path]
    accounts = [attempt.partition(":")[0] for attempt in expected_tries.split()]
    assert seen == [name * 4 for name in accounts if not (scenario.first_is_dead and name == "a")]
    assert gateway.running.pool.statistics().leased == 0


def tries(scenario: Scenario, mode: str) -> str:
    held = scenario.tried_held or scenario.tried
    return {"live": scenario.tried, "buffered": held, "whole": scenario.tried_whole or held}[mode]


def heard(body: bytes, reply: aiohttp.ClientResponse) -> tuple[str, str, bool]:
    """The text of the answer, the code of the error, and whether the answer says of itself that it is complete."""
    if reply.content_type == "text/event-stream":
        data = events(body)
        chunks = [event for event in data if isinstance(event, dict)]
        errors = [str(event["error"]["code"] or "null") for event in chunks if "error" in event]
        choices = [choice for event in chunks for choice in event.get("choices", ())]
        text = "".join(choice["delta"].get("content") or "" for choice in choices)
        return text, "".join(errors), data[-1] == "[DONE]" and choices[-1]["finish_reason"] == "stop"
    value = json.loads(body)
    if "error" in value:
        return "", str(value["error"]["code"] or "null"), False
    (choice,) = value["choices"]
    return choice["message"]["content"], "", choice["finish_reason"] == "stop"


async def test_what_breaks_late_is_hidden_from_all_where_the_operator_wants_it(sim: Simulator, tmp_path: Path) -> None:
    environ = {"KIMI_API_KEY": ",".join(PLATFORM), "KIMI_BASE_URL": sim.platform, "MOONGATE_BUFFERED": "true"}
    sim.enqueue(said(cut_after=3))
    async with served(environ, tmp_path) as gateway:
        async with gateway.ask(stream=True) as reply:
            body = await reply.read()
        assert reply.headers["x-moongate-attempts"] == "2"
        assert events(body)[-1] == "[DONE]"


async def test_what_an_answer_that_broke_has_cost_is_kept(sim: Simulator, tmp_path: Path) -> None:
    environ = {"KIMI_API_KEY": PLATFORM[0], "KIMI_BASE_URL": sim.platform}
    sim.enqueue(said(cut_after=4))
    async with served(environ, tmp_path) as gateway:
        async with gateway.ask("x" * 400, stream=True) as reply:
            await reply.read()
        (record,) = gateway.records()
    assert record["usage_is_estimate"] is True
    assert record["gen_ai.usage.input_tokens"] >= 100
    assert 1 <= record["gen_ai.usage.output_tokens"] <= len(WORDS)


@pytest.mark.parametrize("stream", [True, False])
async def test_what_a_lost_attempt_has_cost_is_kept_beside_the_answer_of_another(
    sim: Simulator, tmp_path: Path, stream: bool
) -> None:
    environ = {"KIMI_API_KEY": ",".join(PLATFORM), "KIMI_BASE_URL": sim.platform, "MOONGATE_BUFFERED": "true"}
    sim.enqueue(said(error_after=4) if stream else said(cut_after=4))
    async with served(environ, tmp_path) as gateway:
        async with gateway.ask("x" * 400, stream=stream) as reply:
            assert reply.status == 200
            await reply.read()
        (record,) = gateway.records()
    lost, answered = record["attempts"]
    if stream:
        assert lost["usage_is_estimate"] is True
        assert lost["gen_ai.usage.input_tokens"] >= 100
    else:  # half of a JSON body says nothing
        assert "gen_ai.usage.input_tokens" not in lost
    assert "gen_ai.usage.input_tokens" not in answered
    assert record["gen_ai.usage.output_tokens"] > 0
    assert "usage_is_estimate" not in record


async def test_what_a_caller_who_went_in_the_middle_has_cost_is_kept(sim: Simulator, tmp_path: Path) -> None:
    environ = {"KIMI_API_KEY": PLATFORM[0], "KIMI_BASE_URL": sim.platform}
    sim.enqueue(said(stall_after=4))
    async with served(environ, tmp_path) as gateway:
        async with gateway.ask("x" * 400, stream=True) as reply:
            while b"content" not in await reply.content.readany():
                pass
        await until(lambda: bool(gateway.records()))
        (record,) = gateway.records()
    assert record["outcome"] == "hung up"
    assert record["usage_is_estimate"] is True
    assert record["gen_ai.usage.input_tokens"] >= 100


async def test_an_attempt_that_nobody_waits_for_any_more_is_told(sim: Simulator, tmp_path: Path) -> None:
    environ = {"KIMI_API_KEY": PLATFORM[0], "KIMI_BASE_URL": sim.platform}
    sim.enqueue(said(silent_before_headers=60))
    async with served(environ, tmp_path) as gateway:
        waiting = asyncio.create_task(_read(gateway))
        await until(lambda: gateway.running.pool.statistics().leased == 1)
        waiting.cancel()
        await until(lambda: bool(gateway.records()))
        (record,) = gateway.records()
    (attempt,) = record["attempts"]
    assert (record["outcome"], attempt["error"]) == ("hung up", "abandoned")


@pytest.mark.parametrize("phase", ["queued", "before headers", "before the first chunk", "mid-stream", "whole"])
async def test_a_caller_who_goes_is_followed_within_a_quarter_of_a_second(
    sim: Simulator, tmp_path: Path, phase: str
) -> None:
    scripts = {
        "before headers": Script(silent_before_headers=60),
        "before the first chunk": Script(silent_before_first_chunk=60),
        "mid-stream": Script(stall_after=2),
        "whole": Script(silent_before_headers=60),
    }
    (tmp_path / "moongate.toml").write_text(
        f'[[accounts]]\nname = "only"\nupstream = "moonshot"\ncredential = "{PLATFORM[0]}"\n'
        f'base_url = "{sim.platform}"\nmax_concurrency = 1\n'
    )
    async with served({}, tmp_path) as gateway:
        pool = gateway.running.pool
        sim.enqueue(scripts.get(phase, Script(silent_before_headers=60)))
        waiting = [asyncio.create_task(_read(gateway, stream=phase != "whole"))]
        await until(lambda: pool.statistics().leased == 1)
        if phase == "queued":
            waiting.append(asyncio.create_task(_read(gateway)))
            await until(lambda: pool.statistics().waiting == 1)
        elif phase == "mid-stream":
            await asyncio.sleep(0.2)
        gone = time.monotonic()
        waiting[-1].cancel()
        await asyncio.gather(waiting[-1], return_exceptions=True)
        if phase == "queued":
            await until(lambda: pool.statistics().waiting == 0, 0.25)
            assert [request.ended for request in sim.seen if "chat" in request.path] == [None]
        else:
            await until(lambda: sim.open == 0 and pool.statistics().leased == 0, 0.5)
            (request,) = [request for request in sim.seen if "chat" in request.path]
            assert request.hung_up_at is not None
            assert request.hung_up_at - gone < 0.25
        waiting[0].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _read(gateway: Gateway, *, stream: bool = True) -> None:
    async with gateway.ask(stream=stream) as reply:
        await reply.read()
