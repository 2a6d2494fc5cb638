"""What leaves for a site, in both generations: the calls, byte by byte."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.core.sealed import Sealed
from moongate.core.turn import Anchor
from moongate.upstreams.kimi_web import connect_call, rest_call
from moongate.upstreams.kimi_web.connect_call import Question
from moongate.upstreams.kimi_web.headers import Caller
from moongate.upstreams.kimi_web.models import Choice
from moongate.wire.http import HttpCall, HttpHead, HttpReply

HOST = "https://www.example.com"
NONE, LOW, HIGH = (f"REASONING_EFFORT_{name}" for name in ("NONE", "LOW", "HIGH"))
NEWER = Choice("SCENARIO_CHAT", "k2d6-chat", efforts=(NONE, LOW), default_effort=LOW)
OLDER = Choice("SCENARIO_K2D5")
AGENT = Choice("SCENARIO_OK_COMPUTER", "k3-agent", "ok-computer", "TYPE_NORMAL", (LOW, HIGH), HIGH)
ANCHOR = Anchor("kimi-web", "kimi-web-1", "example-chat", "example-answer", 2)


def jwt(**claims: object) -> str:
    parts = ({"alg": "HS512"}, {"app_id": "kimi", "typ": "access", **claims}, "example")
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


TOKEN = jwt(sub="example-user", device_id="7001", ssid="1701")
CALLER = Caller(HOST, "moongate/test", Sealed(TOKEN))


def asked(choice: Choice, question: Question) -> Any:
    body = connect_call.chat(CALLER, choice, question).body
    assert body[0] == 0
    assert int.from_bytes(body[1:5]) == len(body) - 5
    return json.loads(body[5:])


# Who asks.


def test_who_asks_is_told_by_the_tokens_own_claims() -> None:
    assert connect_call.chat(CALLER, OLDER, Question("hi")).headers == {
        "accept-encoding": "identity",
        "authorization": f"Bearer {TOKEN}",
        "connect-protocol-version": "1",
        "content-type": "application/connect+json",
        "user-agent": "moongate/test",
        "x-msh-device-id": "7001",
        "x-msh-platform": "web",
        "x-msh-session-id": "1701",
        "x-msh-version": "2.2.0",
        "x-traffic-id": "example-user",
    }


@pytest.mark.parametrize("token", ["no-jwt-example", jwt(sub="", device_id="a\r\nb", ssid="é")])
def test_what_a_token_does_not_say_is_not_made_up(token: str) -> None:
    headers = Caller(HOST, "moongate/test", Sealed(token)).headers()
    assert not headers.keys() & {"x-msh-device-id", "x-msh-session-id", "x-traffic-id", "r-timezone", "origin"}


def test_a_token_is_not_shown() -> None:
    assert TOKEN not in repr(CALLER)
    assert TOKEN not in repr(connect_call.cancel(CALLER, "c", "m"))


# The newer generation.


def test_a_new_chat_is_asked_for_as_the_site_does_where_models_have_ids() -> None:
    assert asked(NEWER, Question("Hello", thinking=True)) == {
        "scenario": "SCENARIO_CHAT",
        "tools": [{"type": "TOOL_TYPE_SEARCH", "search": {}}],
        "message": {
            "role": "user",
            "blocks": [{"message_id": "", "text": {"content": "Hello"}}],
            "scenario": "SCENARIO_CHAT",
            "is_goal": False,
        },
        "options": {"thinking": True, "enable_plugin": True, "reasoning_effort": LOW, "model": "k2d6-chat"},
        "project_id": "",
    }


def test_a_chat_is_continued_as_the_site_did_before_models_had_ids() -> None:
    assert asked(OLDER, Question("look", files=("example-file",), search=False, anchor=ANCHOR)) == {
        "chat_id": "example-chat",
        "scenario": "SCENARIO_K2D5",
        "tools": [],
        "message": {
            "parent_id": "example-answer",
            "role": "user",
            "blocks": [
                {"message_id": "", "text": {"content": "look"}},
                {"file": {"id": "example-file", "status": "PROCESS_STATUS_SUCCESS"}},
            ],
            "scenario": "SCENARIO_K2D5",
        },
        "options": {"thinking": False, "enable_plugin": True},
    }


def test_an_anchor_without_a_message_names_no_parent() -> None:
    body = asked(NEWER, Question("hi", anchor=Anchor("kimi-web", "a", "example-chat", "", 2)))
    assert body["chat_id"] == "example-chat"
    assert "parent_id" not in body["message"]
    assert "project_id" not in body


def test_an_agent_is_told_to_be_one() -> None:
    body = asked(AGENT, Question("hi"))
    assert (body["kimiplus_id"], body["agentMode"], body["chat_id"]) == ("ok-computer", "TYPE_NORMAL", "")


@pytest.mark.parametrize(
    ("choice", "thinking", "options"),
    [
        (NEWER, True, {"thinking": True, "reasoning_effort": LOW}),
        (NEWER, False, {"thinking": False, "reasoning_effort": NONE}),
        (AGENT, True, {"thinking": True, "reasoning_effort": HIGH}),
        (AGENT, False, {"thinking": True, "reasoning_effort": LOW}),
        (OLDER, True, {"thinking": True}),
        (OLDER, False, {"thinking": False}),
    ],
)
def test_thinking_is_told_in_both_ways_that_agree(choice: Choice, thinking: bool, options: dict[str, object]) -> None:
    told = asked(choice, Question("hi", thinking=thinking))["options"]
    assert {name: told.get(name) for name in options} == options
    assert ("reasoning_effort" in told) == ("reasoning_effort" in options)


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_any_text_arrives_as_it_is(text: str) -> None:
    assert asked(NEWER, Question(text))["message"]["blocks"][0]["text"]["content"] == text


def test_stopping_and_forgetting_name_the_chat() -> None:
    cancel, delete = connect_call.cancel(CALLER, "c", "m"), connect_call.delete(CALLER, "c")
    assert cancel.url == f"{HOST}/apiv2/kimi.gateway.chat.v1.ChatService/CancelChat"
    assert json.loads(cancel.body) == {"chat_id": "c", "message_id": "m"}
    assert delete.url == f"{HOST}/apiv2/kimi.chat.v1.ChatService/DeleteChat"
    assert json.loads(delete.body) == {"chat_id": "c"}
    assert {cancel.headers["content-type"], delete.headers["content-type"]} == {"application/json"}


# The older generation.


def created(body: object, status: int = 200) -> tuple[HttpCall, str]:
    flow = rest_call.create(CALLER)
    call = next(flow)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(StopIteration) as stop:
        flow.send(HttpReply(HttpHead(status, {"content-type": "application/json"}), data))
    return call, stop.value.value


def test_a_chat_is_made_before_it_is_spoken_in() -> None:
    call, chat = created({"id": "examplechat000000001", "name": "x"})
    assert (call.method, call.url, chat) == ("POST", f"{HOST}/api/chat", "examplechat000000001")
    assert json.loads(call.body)["is_example"] is False


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"error_type": "auth.token.invalid", "message": "no"}, 401, Kind.CREDENTIAL_REFUSED),
        ({"error_type": "auth.token.invalid", "message": "no"}, 200, Kind.CREDENTIAL_REFUSED),
        ({"name": "x"}, 200, Kind.PROTOCOL),
        ({"id": 5}, 200, Kind.PROTOCOL),
        (b"<!doctype html><title>Busy</title>", 200, Kind.FAILED),
        (b"busy", 503, Kind.OVERLOADED),
    ],
)
def test_a_chat_that_is_not_made_is_a_refusal(body: object, status: int, kind: Kind) -> None:
    with pytest.raises(GatewayError) as failure:
        created(body, status)
    assert failure.value.kind is kind


def test_a_question_is_asked_in_the_form_of_2025() -> None:
    call = rest_call.complete(CALLER, "example/chat", "k2", "Hello", ("f1",), search=True)
    assert call.url == f"{HOST}/api/chat/example%2Fchat/completion/stream"
    assert json.loads(call.body) == {
        "kimiplus_id": "kimi",
        "extend": {"sidebar": True},
        "model": "k2",
        "use_search": True,
        "messages": [{"role": "user", "content": "Hello"}],
        "refs": ["f1"],
        "history": [],
        "scene_labels": [],
        "use_semantic_memory": False,
        "use_deep_research": False,
    }


def test_a_chat_is_deleted_by_its_address() -> None:
    call = rest_call.delete(CALLER, "example-chat")
    assert (call.method, call.url, call.body) == ("DELETE", f"{HOST}/api/chat/example-chat", b"")


def marked(url: str) -> str:
    return f'<url id="" type="url" status="" title="" wc="">{url}</url>'


LINK = "https://example.org/a?b=1&c=(d)#e"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LINK, marked(LINK)),
        (f"read {LINK} now", f"read {marked(LINK)} now"),
        (f"{LINK}\n{LINK}", f"{marked(LINK)}\n{marked(LINK)}"),
        (f"See {LINK}. Then", f"See {marked(LINK)}. Then"),
        (f"看 {LINK}。", f"看 {marked(LINK)}。"),
        (f"[text]({LINK})", f"[text]({LINK})"),
        (f'href="{LINK}"', f'href="{LINK}"'),
        (f"`{LINK}`", f"`{LINK}`"),
        (f"curl '{LINK}'", f"curl '{LINK}'"),
        (f"<{LINK}>", f"<{LINK}>"),
        (f"{LINK}<br>", f"{LINK}<br>"),
        ("https:// and http://... alone", "https:// and http://... alone"),
        ("ftp://example.org/a", "ftp://example.org/a"),
        (marked(LINK), marked(LINK)),
    ],
)
def test_an_address_is_marked_where_it_stands_alone(text: str, told: str) -> None:
    assert rest_call.with_links(text) == told


@given(st.text(alphabet="https://.x \n<>\"'`?"))
def test_marking_loses_nothing(text: str) -> None:
    told = rest_call.with_links(text)
    before, after = marked("|").split("|")
    assert told.replace(before, "").replace(after, "") == text
