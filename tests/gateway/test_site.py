"""A person with only the third-party site gets the same service, and its errors are never answers."""

import json
import time

import pytest

from harness import Serve, events
from moongate.simulator import Simulator

MODEL = "kimi-k2-instruct-0905"


def environ(sim: Simulator, **more: str) -> dict[str, str]:
    given = {"KIMI_SITE_ENABLED": "true", "KIMI_SITE_BASE_URL": sim.url, "KIMI_SITE_CLOUDSCRAPER": "false"}
    return {**given, **more}


async def test_it_is_off_unless_it_is_wanted(sim: Simulator, serve: Serve) -> None:
    async with serve({"KIMI_SITE_BASE_URL": sim.url}) as gateway, gateway.ask(model=MODEL) as reply:
        assert reply.status == 404
        assert sim.site.seen == []


@pytest.mark.parametrize("stream", [False, True])
async def test_it_answers_whole_or_in_pieces(sim: Simulator, serve: Serve, stream: bool) -> None:
    async with serve(environ(sim)) as gateway:
        sim.site.enqueue("Hi there, how are you? 你好。")
        async with gateway.ask("hello", model=MODEL, stream=stream) as reply:
            assert reply.status == 200
            assert reply.headers["x-moongate-route"] == f"kimi-site/{MODEL}"
            data = await reply.read()
        if stream:
            told = events(data)
            words = [event["choices"][0]["delta"].get("content") for event in told[:-1]]  # type: ignore[index]
            assert "".join(word for word in words if word) == "Hi there, how are you? 你好。"
            assert len([word for word in words if word]) > 5
            assert told[-1] == "[DONE]"
        else:
            assert json.loads(data)["choices"][0]["message"]["content"] == "Hi there, how are you? 你好。"
        (form,) = sim.site.seen
        assert (form.message, form.model) == ("hello", "moonshotai/Kimi-K2-Instruct-0905")


async def test_the_pieces_may_be_paced(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim, KIMI_SITE_PACE="0.02")) as gateway:
        sim.site.enqueue("one two three four five six seven eight nine zulu")
        async with gateway.ask(model=MODEL, stream=True) as reply:
            first = await reply.content.readany()
            began = time.monotonic()
            rest = await reply.read()
        assert b"one" in first + rest
        assert b"zulu" not in first
        assert time.monotonic() - began > 0.1


@pytest.mark.parametrize("failure", ["success_false", "forbidden_minus_one", "bad_request_zero", "server_error"])
async def test_a_nonce_that_has_lapsed_is_read_anew_and_the_call_made_once_more(
    sim: Simulator, serve: Serve, failure: str
) -> None:
    async with serve(environ(sim, MAX_RETRIES="0")) as gateway:
        sim.site.fail = [failure]
        async with gateway.ask(model=MODEL) as reply:
            assert reply.status == 200
        assert len(sim.site.seen) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_site_refuses_is_an_error_and_no_text(sim: Simulator, serve: Serve, stream: bool) -> None:
    async with serve(environ(sim, MAX_RETRIES="0")) as gateway:
        sim.site.fail = ["success_false"] * 4
        async with gateway.ask(model=MODEL, stream=stream) as reply:
            assert reply.status == 502
            assert (await reply.json())["error"]["code"] == "upstream_failed"


async def test_a_bot_challenge_is_told_as_one_and_not_besieged(sim: Simulator, serve: Serve) -> None:
    sim.site.challenge = "always"
    async with serve(environ(sim)) as gateway:
        async with gateway.ask(model=MODEL) as reply:
            told = await reply.json()
            assert (reply.status, told["error"]["code"]) == (502, "challenged")
            assert "moongate[cloudscraper]" in told["error"]["message"]
        assert sim.site.pages <= 2


async def test_of_a_long_conversation_the_oldest_is_left_out_and_that_is_told(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim, SESSION_CACHE_TTL="600")) as gateway:
        notes = ""
        for number in range(6):
            sim.site.enqueue(f"answer {number} " + "x" * 150)
            async with gateway.ask(f"question {number}", model=MODEL, user="ada") as reply:
                assert reply.status == 200
                notes = reply.headers.get("x-moongate-notes", "")
        last = sim.site.seen[-1].message
        assert len(last) <= 1000
        assert "question 5" in last
        assert "question 0" not in last
        assert "left out: this upstream takes 1000 characters at a time" in notes
    async with serve(environ(sim, SESSION_CACHE_TTL="600")) as gateway:  # nothing of it is lost here
        async with gateway.ask("question 6", model=MODEL, user="ada") as reply:
            name = reply.headers["x-moongate-conversation"]
        async with gateway.http.get(f"{gateway.url}/v1/conversations/{name}/items?limit=100") as reply:
            assert len((await reply.json())["data"]) == 14


async def test_one_message_that_is_too_long_is_refused_with_both_lengths(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim)) as gateway, gateway.ask("x" * 1500, model=MODEL) as reply:
        told = await reply.json()
        assert (reply.status, told["error"]["code"]) == (400, "context_length_exceeded")
        assert "1500" in told["error"]["message"]
        assert "1000" in told["error"]["message"]
