"""Conversations by their path and by `user`, on an upstream that remembers nothing: the history is ours."""

import asyncio
import json
from pathlib import Path

import pytest
from yarl import URL

from conftest import PLATFORM_KEY
from harness import Gateway, Serve, events
from moongate.simulator import Script, Simulator

KEYS = {"REQUIRE_API_KEY": "true", "VALID_API_KEYS": "key-of-ada,key-of-eve"}
ADA, EVE = {"x-api-key": "key-of-ada"}, {"x-api-key": "key-of-eve"}


def environ(sim: Simulator, **more: str) -> dict[str, str]:
    return {"KIMI_API_KEY": PLATFORM_KEY, "KIMI_BASE_URL": sim.platform, **more}


def says(text: str) -> Script:
    return Script(text=text)


async def say(
    gateway: Gateway, text: str, id: str = "trip", *, headers: dict[str, str] | None = None, **fields: object
) -> dict[str, object]:
    body = {"model": "kimi-k3", "messages": [{"role": "user", "content": text}], **fields}
    async with gateway.http.post(f"{gateway.chat_url}/{id}", json=body, headers=headers) as reply:
        assert reply.status == 200, await reply.text()
        assert reply.headers["x-moongate-conversation"] == id
        data = await reply.read()
        return {"events": events(data)} if fields.get("stream") else json.loads(data)


def asked_last(sim: Simulator) -> list[str]:
    """What the upstream was asked last, message by message."""
    chats = [seen for seen in sim.seen if seen.path.endswith("/chat/completions")]
    return [message["content"] for message in chats[-1].json["messages"]]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_caller_sends_what_is_new_and_the_upstream_gets_all(
    gateway: Gateway, sim: Simulator, stream: bool
) -> None:
    for number in range(4):
        sim.enqueue(says(f"answer {number}"))
        await say(gateway, f"question {number}", stream=stream)
    asked = [text for number in range(4) for text in (f"question {number}", f"answer {number}")][:-1]
    assert asked_last(sim) == asked
    assert {record["gen_ai.conversation.id"] for record in gateway.records()} <= {"trip"}


async def test_who_sends_the_history_all_the_same_doubles_nothing(gateway: Gateway, sim: Simulator) -> None:
    sim.enqueue(says("one"))
    await say(gateway, "first")
    history = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "one"}]
    await say(gateway, "", messages=[*history, {"role": "user", "content": "second"}])
    assert asked_last(sim) == ["first", "one", "second"]


async def test_the_reasoning_of_an_answer_is_sent_back(gateway: Gateway, sim: Simulator) -> None:
    sim.enqueue(Script(reasoning="hm", text="one"))
    await say(gateway, "first")
    await say(gateway, "second")
    chats = [seen for seen in sim.seen if seen.path.endswith("/chat/completions")]
    assert chats[-1].json["messages"][1]["reasoning_content"] == "hm"


async def test_a_tool_session_needs_only_the_results(gateway: Gateway, sim: Simulator) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    sim.enqueue(Script(tools=(("look", '{"at":"sky"}'),)))
    said = await say(gateway, "look up", tools=tools)
    call = said["choices"][0]["message"]["tool_calls"][0]  # type: ignore[index]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "blue"}
    await say(gateway, "", messages=[result], tools=tools)
    messages = sim.seen[-1].json["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"]


async def test_an_answer_that_broke_is_no_part_of_it(gateway: Gateway, sim: Simulator) -> None:
    sim.enqueue(says("one"))
    await say(gateway, "first")
    for _ in range(4):
        sim.enqueue(Script(text="half an answer that is cut", cut_after=2))
    told = await say(gateway, "lost", stream=True)
    assert "error" in told["events"][-1]  # type: ignore[index]
    await say(gateway, "second")
    assert asked_last(sim) == ["first", "one", "second"]


async def test_two_calls_at_once_are_taken_in_turn(gateway: Gateway, sim: Simulator) -> None:
    await asyncio.gather(*(say(gateway, f"question {number}") for number in range(6)))
    lengths = sorted(len(seen.json["messages"]) for seen in sim.seen if seen.path.endswith("/chat/completions"))
    assert lengths == [1, 3, 5, 7, 9, 11]


async def test_each_conversation_is_its_own(gateway: Gateway, sim: Simulator) -> None:
    await say(gateway, "here", "one")
    await say(gateway, "there", "two")
    assert asked_last(sim) == ["there"]


async def test_another_key_neither_sees_nor_continues_it(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim, **KEYS)) as gateway:
        await say(gateway, "secret", headers=ADA)
        await say(gateway, "hello", headers=EVE)
        assert asked_last(sim) == ["hello"]
        url = f"{gateway.url}/v1/conversations"
        unknown = await (await gateway.http.get(f"{url}/none", headers=EVE)).json()
        await say(gateway, "mine", "only-adas", headers=ADA)
        for path in ("only-adas", "only-adas/items"):
            async with gateway.http.get(f"{url}/{path}", headers=EVE) as reply:
                assert (reply.status, await reply.json()) == (404, unknown)
        async with gateway.http.delete(f"{url}/only-adas", headers=EVE) as reply:
            assert (reply.status, await reply.json()) == (404, unknown)
        async with gateway.http.get(f"{url}/only-adas", headers=ADA) as reply:
            assert reply.status == 200
        async with gateway.http.get(f"{url}/only-adas") as reply:
            assert reply.status == 401


async def test_its_owner_may_look_at_it_and_delete_it(gateway: Gateway, sim: Simulator) -> None:
    sim.enqueue(Script(reasoning="hm", text="one"))
    await say(
        gateway, "first", messages=[{"role": "system", "content": "be brief"}, {"role": "user", "content": "first"}]
    )
    await say(gateway, "second")
    url = f"{gateway.url}/v1/conversations/trip"
    async with gateway.http.get(url) as reply:
        told = await reply.json()
        assert (told["id"], told["object"], told["metadata"]) == ("trip", "conversation", {})
    async with gateway.http.get(f"{url}/items?order=asc") as reply:
        listed = await reply.json()
    kinds = [(item["type"], item.get("role")) for item in listed["data"]]
    assert kinds[:4] == [("message", "system"), ("message", "user"), ("reasoning", None), ("message", "assistant")]
    assert listed["data"][3]["content"] == [{"type": "output_text", "text": "one", "annotations": []}]
    assert (listed["object"], listed["has_more"]) == ("list", False)
    async with gateway.http.get(f"{url}/items?limit=2&order=asc&after={listed['data'][0]['id']}") as reply:
        page = await reply.json()
        assert page["data"] == listed["data"][1:3]
        assert (page["has_more"], page["last_id"]) == (True, listed["data"][2]["id"])
    async with gateway.http.delete(url) as reply:
        assert await reply.json() == {"id": "trip", "object": "conversation.deleted", "deleted": True}
    async with gateway.http.get(url) as reply:
        assert (reply.status, (await reply.json())["error"]["code"]) == (404, "conversation_not_found")
    await say(gateway, "anew")
    assert asked_last(sim) == ["anew"]


@pytest.mark.parametrize(
    "id",
    ["a" * 129, "..%2Fx", "../x", "a/b", "%E4%BD%A0", "%00", "%0A", "a%20b", "-a", ".", "a%7F", "a%22", "%F0%9F%98%80"],
)
async def test_what_is_no_name_of_a_conversation_is_refused(gateway: Gateway, id: str) -> None:
    for method, path in (("POST", f"v1/chat/completions/{id}"), ("GET", f"v1/conversations/{id}")):
        url = URL(f"{gateway.url}/{path}", encoded=True)
        body = {"model": "kimi-k3", "messages": [{"role": "user", "content": "hi"}]}
        async with gateway.http.request(method, url, json=body) as reply:
            told = await reply.json()
            assert (reply.status, told["error"]["param"]) == (400, "conversation_id")


@pytest.mark.parametrize(
    "query", ["order=up", "limit=0", "limit=101", "limit=00000010099", "limit=x", "limit=²", "after=nothing"]
)
async def test_a_wrong_query_is_named(gateway: Gateway, query: str) -> None:
    await say(gateway, "hi")
    async with gateway.http.get(f"{gateway.url}/v1/conversations/trip/items?{query}") as reply:
        assert (reply.status, (await reply.json())["error"]["param"]) == (400, query.partition("=")[0])


async def test_a_body_at_the_edge_of_how_deep_one_may_be_is_answered_or_refused(gateway: Gateway) -> None:
    for depth in range(100, 1000, 20):
        deep = b"[" * depth + b"]" * depth
        body = b'{"model":"kimi-k3","messages":[{"role":"user","content":"hi"}],"x":' + deep + b"}"
        async with gateway.http.post(f"{gateway.chat_url}/deep-{depth}", data=body) as reply:
            assert reply.status in (200, 400), (depth, await reply.text())


async def test_several_answers_are_refused(gateway: Gateway) -> None:
    body = {"model": "kimi-k3", "n": 2, "messages": [{"role": "user", "content": "hi"}]}
    async with gateway.http.post(f"{gateway.chat_url}/trip", json=body) as reply:
        assert (reply.status, (await reply.json())["error"]["param"]) == (400, "n")


async def test_user_names_a_conversation_once_that_is_wanted(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim, SESSION_CACHE_TTL="600")) as gateway:
        for text in ("first", "second"):
            sim.enqueue(says(f"to {text}"))
            async with gateway.ask(text, user="ada@example.org 你好") as reply:
                assert reply.status == 200
                name = reply.headers["x-moongate-conversation"]
        assert asked_last(sim) == ["first", "to first", "second"]
        async with gateway.ask("third", user="eve") as reply:
            assert reply.status == 200
        assert asked_last(sim) == ["third"]
        async with gateway.ask("fourth") as reply:
            assert "x-moongate-conversation" not in reply.headers
        async with gateway.http.get(f"{gateway.url}/v1/conversations/{name}/items") as reply:
            assert len((await reply.json())["data"]) == 4


async def test_without_that_user_names_none(gateway: Gateway, sim: Simulator) -> None:
    for _ in range(2):
        async with gateway.ask("hi", user="ada") as reply:
            assert "x-moongate-conversation" not in reply.headers
    assert asked_last(sim) == ["hi"]


async def test_it_goes_on_after_a_restart(sim: Simulator, serve: Serve) -> None:
    for number in range(3):
        async with serve(environ(sim, **KEYS)) as gateway:
            sim.enqueue(says(f"answer {number}"))
            await say(gateway, f"question {number}", headers=ADA)
    asked = [text for number in range(3) for text in (f"question {number}", f"answer {number}")][:-1]
    assert asked_last(sim) == asked


async def test_what_was_deleted_stays_so_after_a_restart(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim)) as gateway:
        await say(gateway, "first")
        async with gateway.http.delete(f"{gateway.url}/v1/conversations/trip") as reply:
            assert reply.status == 200
    async with serve(environ(sim)) as gateway:
        await say(gateway, "second")
    assert asked_last(sim) == ["second"]


async def test_what_a_client_saw_finish_is_kept_though_it_waited_for_no_more(gateway: Gateway, sim: Simulator) -> None:
    sim.enqueue(Script(text="answer 1", omit_done=True, hold_open_after_done=20))
    body = {"model": "kimi-k3", "stream": True, "messages": [{"role": "user", "content": "question 1"}]}
    async with gateway.http.post(f"{gateway.chat_url}/trip", json=body) as reply:
        seen = b""
        while b'"finish_reason":"stop"' not in seen:
            data = await reply.content.readany()
            assert data
            seen += data
    await say(gateway, "question 2")
    assert asked_last(sim) == ["question 1", "answer 1", "question 2"]


async def test_a_home_that_another_gateway_uses_costs_the_keeping_and_nothing_else(
    sim: Simulator, serve: Serve
) -> None:
    async with serve(environ(sim)) as first, serve(environ(sim)) as second:
        await say(first, "first")
        await say(second, "second")
        await say(second, "third")
        assert asked_last(sim)[0] == "second"
        assert any(entry["event"] == "conversations are not kept" for entry in second.log)


async def test_a_conversation_that_grew_too_large_is_refused_with_its_size(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim, MOONGATE_MAX_BODY="10k")) as gateway:
        await say(gateway, "x" * 8000)
        body = {"model": "kimi-k3", "messages": [{"role": "user", "content": "y" * 8000}]}
        async with gateway.http.post(f"{gateway.chat_url}/trip", json=body) as reply:
            told = await reply.json()
            assert reply.status == 413
            assert "10240" in told["error"]["message"]
        assert (await say(gateway, "short"))["object"] == "chat.completion"


async def test_no_key_of_a_caller_is_found_in_what_is_kept(sim: Simulator, serve: Serve, tmp_path: Path) -> None:
    async with serve(environ(sim, **KEYS)) as gateway:
        await say(gateway, "first", headers=ADA)
    kept = [path.read_bytes() for path in (tmp_path / ".moongate").rglob("*") if path.is_file()]
    assert any(b"first" in data for data in kept)
    assert not any(b"key-of-ada" in data for data in kept)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / ".moongate").rglob("*") if path.is_file())
