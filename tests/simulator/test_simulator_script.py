"""Scripts: which one answers, how they read, and that both ways of answering say the same."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moongate.simulator import CATALOGUE, BadScriptError, Refusal, Script, Simulator
from moongate.simulator.script import decode, encode

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
counts = st.none() | st.integers(0, 9)
seconds = st.floats(0, 86400, allow_nan=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(texts, values, max_size=3)
headers = st.dictionaries(st.sampled_from(["X-Odd", "Retry-After"]), st.sampled_from(["1", "a b"]))
refusals = st.builds(Refusal, status=st.integers(200, 599), body=values, headers=headers)
said = {
    "reasoning": st.none() | texts,
    "text": st.none() | texts,
    "tools": st.none() | st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    "finish_reason": st.none() | st.sampled_from(["stop", "length", "odd"]),
    "piece": st.integers(1, 50),
    "usage": st.none() | objects,
    "id_style": st.sampled_from(["name_n", "name:n", "functions.name:n"]),
}
scripts = st.builds(
    Script,
    **said,
    on=st.sampled_from(["chat", "models", "balance", "usages", "me"]),
    choices=st.none() | st.integers(1, 3),
    system_fingerprint=st.booleans(),
    closing_reasoning=st.booleans(),
    usage_in_choice=st.booleans(),
    trailing_usage=st.booleans(),
    extra=objects,
    refuse=st.none() | st.sampled_from(sorted(CATALOGUE)) | refusals,
    answer_as=st.sampled_from(["asked", "stream", "whole"]),
    drop_before_headers=st.booleans(),
    silent_before_headers=seconds,
    silent_before_first_chunk=seconds,
    pause=seconds,
    stall_after=counts,
    cut_after=counts,
    close_after=counts,
    malformed_after=counts,
    error_after=counts,
    omit_done=st.booleans(),
    split=st.none() | st.integers(1, 9),
    comments=st.booleans(),
    crlf=st.booleans(),
    hold_open_after_done=seconds,
)


def test_the_strategy_of_this_file_knows_every_field():
    named = set(said) | {"on", "choices", "system_fingerprint", "closing_reasoning", "usage_in_choice", "extra"}
    named |= {"trailing_usage", "refuse", "answer_as", "drop_before_headers", "silent_before_headers"}
    named |= {"silent_before_first_chunk", "pause", "stall_after", "cut_after", "close_after", "malformed_after"}
    named |= {"error_after", "omit_done", "split", "comments", "crlf", "hold_open_after_done"}
    assert named == set(Script.__struct_fields__)


@given(scripts)
@settings(max_examples=150)
def test_any_script_survives_being_written_and_read(script):
    assert decode(encode(script)) == script


def spoken(got):
    """Reasoning, text, tools, finish and usage of a stream."""
    tools = {}
    for delta in got.deltas:
        for call in delta.get("tool_calls", []):
            known = tools.setdefault(call["index"], call)
            if known is not call:
                known["function"]["arguments"] += call["function"]["arguments"]
    last = got.chunks[-1]["choices"][0]
    return (
        got.joined("reasoning_content"),
        got.joined("content"),
        list(tools.values()),
        last["finish_reason"],
        last["usage"],
    )


@given(st.builds(Script, **said))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whole_and_streamed_answers_say_the_same(ask, script):
    choice = (whole := (await ask(script=script)).json)["choices"][0]
    message = choice["message"]
    said_whole = (
        message.get("reasoning_content", ""),
        message["content"],
        message.get("tool_calls", []),
        choice["finish_reason"],
        whole["usage"],
    )
    assert spoken(await ask(script=script, stream=True)) == said_whole


def content(got):
    return got.json["choices"][0]["message"]["content"]


async def test_queued_scripts_answer_in_order_then_the_default_does(ask, sim: Simulator):
    sim.enqueue(Script(text="first"))
    sim.enqueue(Script(text="second"))
    assert sim.queued == 2
    assert [content(await ask()), content(await ask())] == ["first", "second"]
    assert "no model was asked" in content(await ask())


async def test_a_script_for_another_credential_waits_for_it(ask, sim: Simulator):
    sim.enqueue(Script(text="for code"), "sk-kimi-example-5678")
    assert "no model was asked" in content(await ask())
    assert content(await ask(code=True)) == "for code"


async def test_a_refused_request_takes_no_script(ask, sim: Simulator):
    sim.enqueue(Script(text="kept"))
    assert (await ask(temperature=0)).status == 400
    assert content(await ask()) == "kept"


async def test_a_directive_in_the_last_user_message_is_followed(ask):
    assert content(await ask('Please:\n  simulate: {"text": "as told"}\nThanks')) == "as told"
    parts = [{"type": "text", "text": "Hi"}, {"type": "text", "text": 'simulate: {"refuse": "rate_limit_rpm"}'}]
    assert (await ask(messages=[{"role": "user", "content": parts}])).status == 429


async def test_a_directive_with_faults_alone_keeps_the_default_speech_and_is_not_repeated(ask):
    got = await ask('Good day\nsimulate: {"crlf": true}', stream=True)
    assert b"\r\n" in got.raw
    assert "no model was asked" in got.joined("content")
    assert got.joined("content").endswith("「Good day」")


async def test_a_queued_script_goes_before_a_directive(ask):
    assert content(await ask('simulate: {"text": "directive"}', script=Script(text="queued"))) == "queued"


async def test_an_older_directive_and_one_already_answered_by_tools_are_not_followed(ask):
    call = {"id": "f_0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    told = {"role": "user", "content": 'simulate: {"tools": [["f", "{}"]]}'}
    answered = [
        told,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "f_0", "content": "1"},
    ]
    older = [told, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "And now?"}]
    assert (await ask(messages=[told])).json["choices"][0]["finish_reason"] == "tool_calls"
    assert "no model was asked" in content(await ask(messages=answered))
    assert "And now?" in content(await ask(messages=older))


BAD = [
    ("{", "not JSON"),
    ("[]", "Expected `object`"),
    ('{"nope": 1}', "nope"),
    ('{"piece": 0}', "piece"),
    ('{"pause": -1}', "pause"),
    ('{"pause": NaN}', "not JSON"),
    ('{"tools": [["f"]]}', "tools"),
    ('{"refuse": "nope"}', "no such row 'nope'"),
    ('{"refuse": {"status": 99, "body": ""}}', "status"),
    ('{"refuse": {"status": 400, "body": "", "headers": {"X": "a\\r\\nB: c"}}}', "headers"),
    ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
]


@pytest.mark.parametrize(("text", "why"), BAD)
async def test_a_bad_directive_is_a_400_that_says_what_is_wrong(ask, text, why):
    got = await ask(f"simulate: {text}")
    assert got.status == 400
    assert got.json["error"]["message"].startswith("Invalid request: bad simulate directive: ")
    assert why in got.json["error"]["message"]


def test_reading_a_bad_script_raises():
    for text, why in BAD:
        with pytest.raises(BadScriptError, match=why.replace("`", ".")):
            decode(text)


async def test_scripts_can_be_queued_and_dropped_over_http(ask, sim: Simulator, session):
    url = f"{sim.url}/_simulator/scripts"
    two = [{"text": "one"}, {"text": "two", "extra": {"big": 12345678901234567890}}]
    async with session.post(url, data=json.dumps(two)) as response:
        assert await response.json() == {"queued": 2}
    async with session.post(url, params={"credential": "sk-other"}, json={"text": "three"}) as response:
        assert await response.json() == {"queued": 3}
    assert content(await ask()) == "one"
    assert (await ask()).json["big"] == 12345678901234567890
    async with session.delete(url) as response:
        assert await response.json() == {"removed": 1}
    assert sim.queued == 0


async def test_a_bad_script_over_http_is_a_400_and_none_is_queued(sim: Simulator, session):
    async with session.post(f"{sim.url}/_simulator/scripts", json=[{"text": "good"}, {"nope": 1}]) as response:
        assert response.status == 400
        assert "nope" in (await response.json())["error"]["message"]
    assert sim.queued == 0
