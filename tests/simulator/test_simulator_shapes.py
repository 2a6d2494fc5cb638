"""The shapes of good answers, over TCP."""

import json
import re

import pytest

from moongate.simulator import Script

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
CALL = Script(reasoning="Hm.", tools=(("get_weather", '{"city":"Paris"}'),), piece=9)
OFF = {"type": "disabled"}


async def test_a_stream_is_told_in_the_recorded_order(ask):
    got = await ask(script=Script(reasoning="Let me see.", text="Hello", piece=6), stream=True)
    assert got.headers["Content-Type"] == "text/event-stream"
    assert got.deltas == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Let me"},
        {"reasoning_content": " see."},
        {"reasoning_content": ""},
        {"content": "Hello"},
        {},
    ]
    first = got.chunks[0]
    assert first["object"] == "chat.completion.chunk"
    assert first["choices"][0]["finish_reason"] is None
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{24}", first["id"])
    assert re.fullmatch(r"fpv0_[0-9a-f]{8}", first["system_fingerprint"])
    assert len({chunk["id"] for chunk in got.chunks}) == 1


@pytest.mark.parametrize("asked", [True, False])
async def test_usage_stands_in_the_finish_chunk_whether_asked_for_or_not(ask, asked):
    got = await ask(script=Script(text="Hello"), stream=True, stream_options={"include_usage": asked})
    finish = got.chunks[-2 if asked else -1]
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert finish["choices"][0]["usage"]["completion_tokens"] == 2
    assert all("usage" not in chunk for chunk in got.chunks if chunk["choices"])


async def test_the_extra_usage_chunk_has_no_choices_and_no_fingerprint(ask):
    last = (await ask(stream=True, stream_options={"include_usage": True})).chunks[-1]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"] + last["usage"]["completion_tokens"]
    assert "system_fingerprint" not in last


async def test_a_whole_reply_has_the_recorded_shape(ask):
    got = await ask(script=Script(reasoning="Short thought.", text="Ok."))
    assert got.headers["Content-Type"] == "application/json; charset=utf-8"
    assert got.json["object"] == "chat.completion"
    assert got.json["model"] == "kimi-k3"
    assert got.json["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Ok.", "reasoning_content": "Short thought."},
            "finish_reason": "stop",
        }
    ]
    usage = {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6}
    assert got.json["usage"] == {**usage, "completion_tokens_details": {"reasoning_tokens": 4}}


async def test_a_whole_tool_call_carries_the_extra_index(ask):
    choice = (await ask(script=CALL)).json["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == ""
    function = {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert choice["message"]["tool_calls"] == [
        {"index": 0, "id": "get_weather_0", "type": "function", "function": function}
    ]


async def test_a_streamed_tool_call_opens_with_its_name_and_goes_on_in_pieces(ask):
    calls = [delta["tool_calls"][0] for delta in (await ask(script=CALL, stream=True)).deltas if "tool_calls" in delta]
    opening = {"name": "get_weather", "arguments": ""}
    assert calls == [
        {"index": 0, "id": "get_weather_0", "type": "function", "function": opening},
        {"index": 0, "function": {"arguments": '{"city":"'}},
        {"index": 0, "function": {"arguments": 'Paris"}'}},
    ]


@pytest.mark.parametrize(
    ("style", "pattern"),
    [
        ("name_n", "f_1"),
        ("name:n", "f:1"),
        ("functions.name:n", r"functions\.f:1"),
        ("call_…", "call_[0-9a-f]{24}"),
    ],
)
async def test_tool_ids_come_in_every_known_style(ask, style, pattern):
    got = await ask(script=Script(tools=(("f", "{}"), ("f", "{}")), id_style=style))
    ids = [call["id"] for call in got.json["choices"][0]["message"]["tool_calls"]]
    assert re.fullmatch(pattern, ids[1])
    assert ids[0] != ids[1]


async def test_a_builtin_tool_is_called_as_such(ask):
    call = (await ask(script=Script(tools=(("$web_search", "{}"),)))).json["choices"][0]["message"]["tool_calls"][0]
    assert (call["type"], call["id"], call["function"]["name"]) == ("builtin_function", "web_search_0", "$web_search")


async def test_several_choices_take_turns_and_each_has_its_own_usage(ask):
    got = await ask(script=Script(tools=(("f", "{}"),), choices=2), stream=True, stream_options={"include_usage": True})
    told = [chunk["choices"][0] for chunk in got.chunks if chunk["choices"]]
    assert [choice["index"] for choice in told] == [0, 1] * 4
    assert told[-1]["usage"] == told[-2]["usage"]
    assert {call["id"] for choice in told for call in choice["delta"].get("tool_calls", []) if "id" in call} == {"f_0"}
    assert got.chunks[-1]["usage"]["completion_tokens"] == 2 * told[-1]["usage"]["completion_tokens"]


async def test_k26_that_does_not_think_leaves_a_trace_and_k3_none(ask):
    k26 = (await ask(model="kimi-k2.6", thinking=OFF)).json
    k3 = (await ask(thinking=OFF)).json
    assert k26["choices"][0]["message"]["reasoning_content"] == ""
    assert k26["usage"]["completion_tokens_details"] == {"reasoning_tokens": 1}
    assert "reasoning_content" not in k3["choices"][0]["message"]
    assert "completion_tokens_details" not in k3["usage"]


async def test_without_thinking_no_reasoning_is_streamed(ask):
    got = await ask(model="kimi-k2.6", thinking=OFF, stream=True)
    assert not any("reasoning_content" in delta for delta in got.deltas)


async def test_cached_tokens_are_absent_until_a_long_prefix_comes_again(ask):
    first = (await ask("words " * 60)).json["usage"]
    second = (await ask("words " * 60)).json["usage"]
    assert "cached_tokens" not in first
    assert "prompt_tokens_details" not in first
    assert second["cached_tokens"] == second["prompt_tokens"] == 90
    assert second["prompt_tokens_details"] == {"cached_tokens": 90}


async def test_a_short_prefix_is_not_cached_nor_another_models(ask):
    await ask("words " * 60)
    assert "cached_tokens" not in (await ask("words " * 60, model="kimi-k2.6")).json["usage"]
    assert "cached_tokens" not in [await ask("Hi"), await ask("Hi")][1].json["usage"]


async def test_the_default_speech_owns_up_in_two_languages_and_repeats_the_user(ask):
    message = (await ask("Tell me a story")).json["choices"][0]["message"]
    assert all(words in message["content"] for words in ("no model was asked", "模拟", "Tell me a story"))
    assert message["reasoning_content"]
    assert "x" * 121 not in (await ask("x" * 500)).json["choices"][0]["message"]["content"]


async def test_the_default_speech_counts_images(ask):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "What is this?"}, image, {"type": "image_url", "image_url": "ms://file_1"}]
    got = await ask(messages=[{"role": "user", "content": content}])
    assert "2 images received" in got.json["choices"][0]["message"]["content"]


async def test_a_required_tool_is_called_with_placeholders_for_what_its_schema_requires(ask):
    got = await ask(tools=[WEATHER], tool_choice="required")
    call = got.json["choices"][0]["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"city": "text"}


async def test_a_named_tool_is_called_by_k26_without_thinking(ask):
    other = {"type": "function", "function": {"name": "other"}}
    choice = {"type": "function", "function": {"name": "get_weather"}}
    got = await ask(model="kimi-k2.6", thinking=OFF, tools=[other, WEATHER], tool_choice=choice)
    assert got.json["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "get_weather"


async def test_no_tool_is_called_when_none_is_demanded_or_a_result_is_awaited(ask):
    call = {"id": "get_weather_0", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    answered = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "reasoning_content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "get_weather_0", "content": "18C"},
    ]
    assert (await ask(tools=[WEATHER])).json["choices"][0]["finish_reason"] == "stop"
    got = await ask(messages=answered, tools=[WEATHER], tool_choice="required")
    assert got.json["choices"][0]["finish_reason"] == "stop"


async def test_json_is_spoken_where_json_is_asked_for(ask):
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "age": {"type": ["null", "integer"], "minimum": 18},
            "kind": {"enum": ["a", "b"]},
            "pets": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/pet"}},
            "unasked": {"type": "string"},
        },
        "required": ["name", "age", "kind", "pets"],
        "$defs": {
            "pet": {"anyOf": [{"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}]}
        },
    }
    free = await ask(response_format={"type": "json_object"})
    format = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}  # noqa: A001
    bound = await ask(response_format=format)
    assert json.loads(free.json["choices"][0]["message"]["content"])["simulated"] is True
    assert json.loads(bound.json["choices"][0]["message"]["content"]) == {
        "name": "text",
        "age": 18,
        "kind": "a",
        "pets": [{"ok": True}],
    }


async def test_extra_members_keep_every_digit(ask):
    extra = {"x_big": 12345678901234567890, "x_more": {"a": [99999999999999999999]}}
    got = await ask(script=Script(extra=extra), stream=True)
    assert all(chunk["x_big"] == 12345678901234567890 for chunk in got.chunks)
    assert b'"x_more":{"a":[99999999999999999999]}' in (await ask(script=Script(extra=extra))).raw


async def test_a_usage_of_ones_own_stands_wherever_usage_stands(ask):
    usage = {"prompt_tokens": 7, "odd": True}
    got = await ask(script=Script(usage=usage), stream=True, stream_options={"include_usage": True})
    assert got.chunks[-1]["usage"] == got.chunks[-2]["choices"][0]["usage"] == usage
    assert (await ask(script=Script(usage=usage))).json["usage"] == usage


async def test_usual_members_can_be_left_out(ask):
    script = Script(
        reasoning="r",
        text="t",
        usage_in_choice=False,
        trailing_usage=False,
        system_fingerprint=False,
        closing_reasoning=False,
    )
    got = await ask(script=script, stream=True, stream_options={"include_usage": True})
    assert b"usage" not in got.raw
    assert b"system_fingerprint" not in got.raw
    assert got.deltas[1:-1] == [{"reasoning_content": "r"}, {"content": "t"}]


async def test_too_small_a_budget_can_be_scripted(ask):
    choice = (await ask(script=Script(reasoning="Long", finish_reason="length"))).json["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", "")


async def test_kimi_code_speaks_the_same_shapes_under_its_own_names(ask):
    got = await ask(script=Script(text="Hello"), code=True, model="k2p5", stream=True)
    assert got.chunks[0]["model"] == "kimi-for-coding"
    assert "x-trace-id" in got.headers
    assert "Msh-Request-Id" not in got.headers


async def test_the_model_listings_differ_by_product(sim, session):
    headers = {"Authorization": "Bearer sk-example-1234"}
    async with session.get(f"{sim.platform}/models", headers=headers) as response:
        platform = await response.json()
        assert "Msh-Request-Id" in response.headers
    async with session.get(f"{sim.kimi_code}/models", headers={"Authorization": "Bearer an.oauth.token"}) as response:
        code = await response.json()
    names = [entry["id"] for entry in platform["data"]]
    assert names == ["kimi-k2.6", "kimi-k2.7-code-highspeed", "kimi-k3", "kimi-k2.7-code"]
    assert [entry["id"] for entry in code["data"]] == ["kimi-for-coding", "kimi-for-coding-highspeed", "k3", "k3-256k"]
    assert platform["data"][2]["supports_thinking_type"] == "only"
    assert all(entry["context_length"] >= 262144 for entry in platform["data"] + code["data"])
