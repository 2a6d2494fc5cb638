"""What is refused, and in which words."""

import json

import pytest

from moongate.simulator import CATALOGUE, Refusal, Script, simulator

INCOMPATIBLE = "tool_choice '{}' is incompatible with thinking enabled"
UNANSWERED = (
    "Invalid request: an assistant message with 'tool_calls' must be followed by tool messages responding to "
    "each 'tool_call_id'. The following tool_call_ids did not have response messages: f_0"
)
OFF = {"type": "disabled"}
NAMED = {"type": "function", "function": {"name": "f"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
CALL = {"id": "f_0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USER = {"role": "user", "content": "Hi"}
CALLED = {"role": "assistant", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "f_0", "content": "1"}


def image(url):
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def text(role, value):
    return [{"role": role, "content": value}, USER]


REFUSED = [
    ("kimi-k3", {"temperature": 0.3}, "invalid temperature: only 1 is allowed for this model"),
    ("kimi-k2.6", {"temperature": 0.6}, "invalid temperature: only 1 is allowed for this model"),
    ("kimi-k2.6", {"temperature": 1, "thinking": OFF}, "invalid temperature: only 0.6 is allowed for this model"),
    ("kimi-k2.7-code", {"temperature": True}, "invalid temperature: only 1 is allowed for this model"),
    ("kimi-k3", {"top_p": 1}, "invalid top_p: only 0.95 is allowed for this model"),
    ("kimi-k3", {"n": 2}, "invalid n: only 1 is allowed for this model"),
    ("kimi-k3", {"presence_penalty": 0.5}, "invalid presence_penalty: only 0 is allowed for this model"),
    ("kimi-k3", {"frequency_penalty": -1}, "invalid frequency_penalty: only 0 is allowed for this model"),
    ("kimi-k2.7-code", {"thinking": OFF}, "invalid thinking: only type=enabled is allowed for this model"),
    ("kimi-k2.6", {"thinking": {"type": "adaptive"}}, "Invalid request: thinking.type must be enabled or disabled"),
    ("kimi-k2.6", {"thinking": True}, "Invalid request: thinking.type must be enabled or disabled"),
    ("kimi-k2.6", {"tools": [TOOL], "tool_choice": "required"}, INCOMPATIBLE.format("required")),
    ("kimi-k2.6", {"tools": [TOOL], "tool_choice": NAMED}, INCOMPATIBLE.format("specified")),
    ("kimi-k2.7-code", {"tools": [TOOL], "tool_choice": "required"}, INCOMPATIBLE.format("required")),
    ("kimi-k3", {"tools": [TOOL], "tool_choice": NAMED}, INCOMPATIBLE.format("specified")),
    ("kimi-k3", {"tools": [TOOL, TOOL]}, "function name f is duplicated"),
    ("kimi-k3", {"tools": [{"type": "function"}]}, "Invalid request: a tool must have a function with a name"),
    (
        "kimi-k3",
        {"tools": [{"type": "function", "function": {"name": "$f"}}]},
        "Invalid request: function name $f is invalid",
    ),
    ("kimi-k3", {"messages": text("user", [{"type": "text", "text": ""}])}, "text content is empty"),
    ("kimi-k3", {"messages": text("assistant", [])}, "text content is empty"),
    ("kimi-k3", {"messages": text("developer", "Hi")}, "Invalid request: unsupported role 'developer'"),
    ("kimi-k3", {"messages": text(["user"], "Hi")}, "Invalid request: unsupported role ''"),
    (
        "kimi-k3",
        {"messages": text("user", 1)},
        "Invalid request: message content must be a string or a list of parts",
    ),
    (
        "kimi-k3",
        {"messages": image("https://example.org/a.png")},
        "unsupported image url: https://example.org/a.png",
    ),
    (
        "kimi-k3",
        {"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": "http://example.org/v"}]}]},
        "unsupported video url: http://example.org/v",
    ),
    ("kimi-k3", {"messages": []}, "Invalid request: messages must be a list of at least one object"),
    ("kimi-k3", {"messages": [USER, RESULT]}, "Invalid request: tool_call_id f_0 not found"),
    (
        "kimi-k3",
        {"messages": [USER, CALLED, USER]},
        UNANSWERED,
    ),
    (
        "kimi-k2.6",
        {"max_completion_tokens": 262144, "max_tokens": 1},
        "Your request exceeded model token limit: 262144",
    ),
]


@pytest.mark.parametrize(("model", "members", "message"), REFUSED)
async def test_refuses_in_the_exact_words_and_without_a_code(ask, model, members, message):
    got = await ask(model=model, **members)
    assert got.status == 400
    assert got.headers["Content-Type"] == "application/json; charset=utf-8"
    assert got.json == {"error": {"message": message, "type": "invalid_request_error"}}


@pytest.mark.parametrize(
    ("model", "members"),
    [
        ("kimi-k3", {"temperature": 1.0, "top_p": 0.95, "n": 1, "presence_penalty": 0, "frequency_penalty": 0.0}),
        ("kimi-k3", {"temperature": None, "stream": None}),
        ("kimi-k2.6", {"temperature": 0.6, "thinking": OFF}),
        ("kimi-k3", {"thinking": OFF, "reasoning_effort": "garbage", "user": "someone"}),
        ("kimi-k3", {"tools": [TOOL], "tool_choice": "required"}),
        ("kimi-k3", {"tools": [TOOL], "tool_choice": "none"}),
        ("kimi-k2.6", {"tools": [TOOL], "tool_choice": NAMED, "thinking": OFF}),
        ("kimi-k3", {"messages": [USER, CALLED, RESULT]}),
        ("kimi-k3", {"messages": [USER, CALLED, RESULT, CALLED, RESULT]}),
        ("kimi-k3", {"messages": [{"role": "system", "tools": [TOOL]}, USER]}),
        ("kimi-k3", {"messages": [USER, {"role": "assistant", "partial": True, "content": "Once"}]}),
        ("kimi-k3", {"messages": image("data:image/png;base64,AAAA")}),
        ("kimi-k3", {"messages": image("ms://file_1")}),
        ("kimi-k2.6", {"tools": [{"type": "builtin_function", "function": {"name": "$web_search"}}]}),
    ],
)
async def test_lets_pass_what_the_upstream_lets_pass(ask, model, members):
    assert (await ask(model=model, **members)).status == 200


async def test_an_unknown_or_retired_model_is_not_found(ask):
    for model in ("kimi-k9", "moonshot-v1-8k", "kimi-k2.5"):
        got = await ask(model=model)
        assert (got.status, got.json["error"]["type"]) == (404, "resource_not_found_error")
        assert got.json["error"]["message"] == f"Not found the model {model} or Permission denied"


async def test_kimi_code_explains_a_suffixed_model_id(ask):
    got = await ask(code=True, model="k3[1m]")
    message = "Your model id does not exist, recognized as other:k3[1m]. Please set model id as k3."
    assert (got.status, got.json) == (401, {"error": {"message": message}})


async def test_kimi_code_limits_the_size_of_messages(ask):
    got = await ask("x" * 2097152, code=True)
    assert got.status == 400
    assert got.json["error"]["message"].endswith("exceeds limit 2097152")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b'{"a": NaN}', b"[" * 20000, b'{"messages":[]}'])
async def test_a_body_that_is_no_request_is_a_400(sim, session, body):
    headers = {"Authorization": "Bearer sk-example-1"}
    async with session.post(f"{sim.platform}/chat/completions", data=body, headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["error"]["message"].startswith("Invalid request: ")


PLATFORM_401 = {"error": {"message": "Invalid Authentication", "type": "invalid_authentication_error"}}
CODE_401 = json.loads(CATALOGUE["kimi_code_invalid_key"].encoded())


@pytest.mark.parametrize(
    ("base", "authorization", "expected"),
    [
        ("platform", None, PLATFORM_401),
        ("platform", "sk-example-1", PLATFORM_401),
        ("platform", "Basic sk-example-1", PLATFORM_401),
        ("platform", "Bearer ", PLATFORM_401),
        ("platform", "Bearer sk-kimi-example-1", PLATFORM_401),
        ("platform", "Bearer an.oauth.token", PLATFORM_401),
        ("kimi_code", None, CODE_401),
        ("kimi_code", "Bearer sk-example-1", CODE_401),
    ],
)
async def test_keys_of_one_product_are_refused_by_the_other(sim, session, base, authorization, expected):
    headers = {"Authorization": authorization} if authorization else {}
    for method, path in (("GET", "models"), ("POST", "chat/completions")):
        async with session.request(method, f"{getattr(sim, base)}/{path}", headers=headers) as response:
            assert (response.status, await response.json()) == (401, expected)


async def test_only_listed_keys_are_let_in_where_there_is_a_list(session):
    async with simulator(keys=frozenset(("sk-example-good",))) as sim:
        for key, status in (("sk-example-good", 200), ("sk-example-bad", 401)):
            headers = {"Authorization": f"Bearer {key}"}
            async with session.get(f"{sim.platform}/models", headers=headers) as response:
                assert response.status == status


async def test_unknown_routes_answer_in_the_platforms_own_shape(sim, session):
    async with session.get(f"{sim.platform}/nope", headers={"User-Agent": "tester/1"}) as response:
        assert response.status == 404
        assert await response.json() == {
            "code": 5,
            "error": "url.not_found",
            "message": "没找到对象",
            "method": "GET",
            "scode": "0x5",
            "status": False,
            "ua": "tester/1",
            "url": "/v1/nope",
        }
    async with session.delete(f"{sim.kimi_code}/nope") as response:
        assert (response.status, (await response.json())["error"]["message"]) == (404, "method not found")
    async with session.head(f"{sim.platform}/models") as response:
        assert (response.status, await response.read()) == (404, b"")


async def test_missing_reasoning_is_refused_only_when_strict(session):
    messages = [USER, CALLED, RESULT]
    body = {"model": "kimi-k2.6", "messages": messages}
    headers = {"Authorization": "Bearer sk-example-1"}
    kept = {**body, "messages": [USER, {**CALLED, "reasoning_content": ""}, RESULT]}
    off = {**body, "thinking": OFF}
    cases = [(False, body, 200), (True, body, 400), (True, kept, 200), (True, off, 200)]
    for strict, sent, status in cases:
        async with (
            simulator(strict_reasoning=strict) as sim,
            session.post(f"{sim.platform}/chat/completions", json=sent, headers=headers) as response,
        ):
            assert response.status == status
            if status == 400:
                message = "thinking is enabled but reasoning_content is missing in assistant tool call message"
                assert (await response.json())["error"]["message"] == f"{message} at index 1"


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("stream", [True, False])
async def test_every_row_of_the_catalogue_can_be_met_and_is_never_a_stream(ask, sim, name, stream):
    row = CATALOGUE[name]
    got = await ask(script=Script(refuse=name), stream=stream)
    assert (got.status, got.raw) == (row.status, row.encoded())
    assert all(got.headers[header] == value for header, value in row.headers.items())
    assert "event-stream" not in got.headers["Content-Type"]
    assert (sim.seen[-1].ended, sim.seen[-1].billed_tokens) == ("refused", 0)
    if isinstance(row.body, dict):
        assert set(got.json) == {"error"}
        assert set(got.json["error"]) <= {"message", "type"}


async def test_the_gateway_timeout_is_html(ask):
    got = await ask(script=Script(refuse="gateway_timeout_html"))
    assert (got.status, got.headers["Content-Type"]) == (504, "text/html")
    assert got.raw.startswith(b"<html>")


async def test_a_refusal_can_be_made_up(ask):
    own = Refusal(status=418, body={"odd": 12345678901234567890}, headers={"retry-after": "3", "X-Odd": "yes"})
    got = await ask(script=Script(refuse=own))
    assert (got.status, got.json) == (418, own.body)
    assert (got.headers["retry-after"], got.headers["X-Odd"]) == ("3", "yes")


async def test_a_status_without_a_body_leaves_the_connection_usable(ask):
    got = await ask(script=Script(refuse=Refusal(status=204, body="never sent")))
    assert (got.status, got.raw) == (204, b"")
    assert (await ask()).status == 200


async def test_a_model_listing_can_be_refused_without_touching_chat(sim, session, ask):
    sim.enqueue(Script(on="models", refuse="membership_inactive"))
    assert (await ask()).status == 200
    async with session.get(f"{sim.kimi_code}/models", headers={"Authorization": "Bearer sk-kimi-example"}) as response:
        assert response.status == 402
