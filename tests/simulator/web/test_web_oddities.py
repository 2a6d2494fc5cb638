"""Requests that nobody in their right mind sends: the simulated web site refuses them, and does not break."""

import json
import struct

import pytest

from moongate.simulator.web import calls, legacy

ODD = (
    b"",
    b"\xff",
    b"null",
    b"5",
    b"[]",
    b'"text"',
    b"[" * 100_000,
    b'{"chat_id":5,"message_id":[],"file_ids":[{}],"chat_ids":[null],"page_size":"x","page_token":[]}',
    b'{"queries":[5,{"chat_id":{},"sid":[]}],"offset":-1,"size":0.5,"ids":{},"object_name":{},"type":[]}',
    b'{"page_size":-1,"page_token":"99999999999999999999","chat_ids":{},"file_ids":5,"name":{},"action":{}}',
)

ODD_TURNS = (
    {"message": {"role": "user", "blocks": [5, {"text": 5}, {"file": 5}]}},
    {"message": {"role": "user", "blocks": [{"text": {"content": 5}}], "parent_id": 5}, "options": [], "tools": {}},
    {"message": {"role": "user", "blocks": [{"text": {}}]}, "options": {"model": 5, "thinking": "yes", "_": 1}},
    {"message": {"role": "user", "blocks": [{"text": {"content": "\ud800"}}]}, "chat_id": 5, "scenario": []},
    {"message": {"role": "user", "blocks": [{"x": 1}]}, "tools": [5, {"type": 5}], "chat_id": []},
)


@pytest.mark.parametrize("path", list(calls.CALLS))
async def test_no_body_breaks_a_call_of_the_newer_generation(ada, path):
    assert {(await ada.send("POST", path, body)).status for body in ODD} <= {200, 400, 404}


@pytest.mark.parametrize(("method", "path"), [*legacy.CALLS, ("POST", "/api/pre-sign-url")])
async def test_no_body_breaks_a_call_of_the_older_generation(ada, method, path):
    assert {(await ada.send(method, path, body)).status for body in ODD} <= {200, 400, 404}


@pytest.mark.parametrize("turn", ODD_TURNS)
async def test_no_turn_breaks_the_newer_generation(ada, turn):
    got = await ada.framed(turn)
    assert got.status == 200
    assert got.trailer is not None


async def test_no_body_breaks_a_turn(ada):
    chat = await ada.new()
    for body in ODD:
        framed = struct.pack(">BI", 0, len(body)) + body
        kind = "application/connect+json"
        got = await ada.send("POST", "/apiv2/kimi.gateway.chat.v1.ChatService/Chat", framed, Content_Type=kind)
        assert got.trailer["error"]["code"] == "invalid_argument"
        assert (await ada.send("POST", f"/api/chat/{chat}/completion/stream", body)).status == 400


@pytest.mark.parametrize("members", [{"refs": [5]}, {"refs": {}}, {"model": 5, "action": [], "messages": [{}]}])
async def test_no_member_breaks_the_older_generation(ada, members):
    assert (await ada.say("Hi", **members)).status in (200, 400)


async def test_a_lone_surrogate_is_told_as_a_question_mark(ada):
    payload = json.dumps(ada.request("\ud800")).encode()
    framed = struct.pack(">BI", 0, len(payload)) + payload
    kind = "application/connect+json"
    got = await ada.send("POST", "/apiv2/kimi.gateway.chat.v1.ChatService/Chat", framed, Content_Type=kind)
    assert got.message("user")["blocks"][0]["text"]["content"] == "?"
    assert (await ada.send("GET", "/_simulator/web/log")).status == 200
