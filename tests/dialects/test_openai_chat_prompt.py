"""Requests of OpenAI's chat read for what they say: by whom, with what, and what for."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.core.prompt import Call, Choice, Media, Message, Output, Prompt, Tool, Words
from moongate.core.reply import Block, Reply
from moongate.dialects.openai_chat.server import OpenAIChat
from scripted import asked

SERVER = OpenAIChat()
HELLO = {"role": "user", "content": "hello"}


def read(*messages: object, **fields: object) -> Prompt:
    body = json.dumps({"model": "k2", "messages": messages or [HELLO], **fields}).encode()
    return SERVER.prompt(asked(body))


def only(message: object) -> Message:
    return read(message).messages[0]


@pytest.mark.parametrize(
    ("sent", "parts"),
    [
        ("hello", (Words("hello"),)),
        ("", ()),
        (None, ()),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], (Words("a"), Words("b"))),
        ([{"type": "refusal", "refusal": "no"}], (Words("no"),)),
        (
            [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}],
            (Media("image", b"hi", "image/png"),),
        ),
        ([{"type": "image_url", "image_url": "https://e.org/a.png"}], (Media("image", url="https://e.org/a.png"),)),
        ([{"type": "video_url", "video_url": {"url": "https://e.org/a"}}], (Media("video", url="https://e.org/a"),)),
        (
            [{"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}],
            (Media("audio", b"hi", "audio/wav"),),
        ),
        (
            [{"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}}],
            (Media("file", b"hi", "application/pdf", name="a.pdf"),),
        ),
    ],
)
def test_contents_are_words_and_media(sent: object, parts: object) -> None:
    assert only({"role": "user", "content": sent}).parts == parts


@pytest.mark.parametrize("part", [{"type": "hologram", "hologram": 1}, {"type": "file", "file": {"file_id": "file-1"}}])
def test_what_nobody_knows_is_kept_and_called_so(part: dict[str, object]) -> None:
    (found,) = only({"role": "user", "content": [part]}).parts
    assert isinstance(found, Media)
    assert found.kind == "other"
    assert json.loads(found.data) == part


@pytest.mark.parametrize(
    ("said", "role"),
    [("system", "system"), ("developer", "system"), ("user", "user"), ("assistant", "assistant"), ("tool", "tool")],
)
def test_roles_are_the_five_there_are(said: str, role: str) -> None:
    assert only({"role": said, "content": "x"}).role == role


def test_an_assistants_message_has_its_thoughts_and_calls() -> None:
    call = {"id": "functions.look:0", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}
    message = only({"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]})
    assert message == Message("assistant", thinking="hm", calls=(Call("functions.look:0", "look", '{"a":1}'),))


def test_a_tools_message_names_the_call_it_answers() -> None:
    message = only({"role": "tool", "tool_call_id": "c1", "content": "seen", "name": "look"})
    assert (message.answers, message.name, message.text) == ("c1", "look", "seen")


def test_tools_keep_their_schema_as_it_came() -> None:
    function = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "n": 12345678901234567890}}
    (tool,) = read(tools=[{"type": "function", "function": function}]).tools
    assert (tool.name, tool.description) == ("look", "Looks.")
    assert json.loads(bytes(tool.schema)) == function["parameters"]
    assert read(tools=[{"type": "function", "function": {"name": "look"}}]).tools == (Tool("look"),)


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({}, "choice", Choice("auto")),
        ({"tool_choice": "none"}, "choice", Choice("none")),
        ({"tool_choice": "required"}, "choice", Choice("required")),
        ({"tool_choice": {"type": "function", "function": {"name": "look"}}}, "choice", Choice("tool", "look")),
        ({}, "output", Output()),
        ({"response_format": {"type": "text"}}, "output", Output()),
        ({"response_format": {"type": "json_object"}}, "output", Output("json")),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "output", Output("json")),
        ({}, "thinking", None),
        ({"thinking": {"type": "enabled"}}, "thinking", True),
        ({"thinking": {"type": "disabled"}, "reasoning_effort": "high"}, "thinking", False),
        ({"reasoning_effort": "none"}, "thinking", False),
        ({"reasoning_effort": "low"}, "thinking", True),
        ({"stop": "END"}, "stop", ("END",)),
        ({"stop": ["a", "", "b"]}, "stop", ("a", "b")),
        ({"stop": None}, "stop", ()),
        ({"temperature": 1, "seed": None, "max_tokens": 5, "user": "ada"}, "others", ("temperature", "max_tokens")),
    ],
)
def test_what_is_asked_of_the_answer(fields: dict[str, object], name: str, value: object) -> None:
    assert getattr(read(**fields), name) == value


def test_a_schema_is_kept_as_it_came() -> None:
    schema = {"type": "object", "required": ["a"]}
    output = read(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}).output
    assert (output.form, json.loads(bytes(output.schema))) == ("schema", schema)


@pytest.mark.parametrize(
    ("messages", "fields", "param"),
    [
        ([{"role": "robot", "content": "x"}], {}, "messages[0].role"),
        ([HELLO, {"role": "user", "content": [{"type": "text", "text": 5}]}], {}, "messages[1]"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,*"}}]}],
            {},
            "messages[0].content[0]",
        ),
        ([{"role": "assistant", "tool_calls": "x"}], {}, "messages[0]"),
        ([HELLO], {"tools": [{"type": "builtin_function", "function": {}}]}, "tools[0]"),
        ([HELLO], {"tools": [{"type": "web_search"}]}, "tools[0]"),
    ],
)
def test_what_cannot_be_read_is_named(messages: list[object], fields: dict[str, object], param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        read(*messages, **fields)
    assert (caught.value.kind, caught.value.param) == (Kind.INVALID_REQUEST, param)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_an_error(raw: bytes) -> None:
    with suppress(GatewayError):
        assert isinstance(SERVER.read(raw), Message)


def test_deep_nesting_is_an_error() -> None:
    deep = b'{"role":"user","content":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(GatewayError) as caught:
        SERVER.read(deep)
    assert caught.value.kind is Kind.INVALID_REQUEST


def test_a_reply_reads_back_as_it_was_told() -> None:
    blocks = (Block("thinking", "hm"), Block("text", "hi"), Block("tool_call", "{}", "c1", "look"))
    message = SERVER.read(SERVER.turn_of(Reply("r", "m", 0, blocks, "tool_calls", None)))
    assert message == Message("assistant", (Words("hi"),), "hm", (Call("c1", "look", "{}"),))


def test_other_turns_take_the_place_of_those_that_came_and_nothing_else_changes() -> None:
    body = b'{"z": 12345678901234567890, "messages": [1], "model":"k2"}'
    turns = [b'{"role":"user","content":"a"}', b'{"role":"assistant","content":"b"}']
    ask = SERVER.with_turns(asked(body), turns)
    assert ask.origin.body == b'{"z":12345678901234567890,"messages":[' + b",".join(turns) + b'],"model":"k2"}'
    assert SERVER.turns(ask) == turns
