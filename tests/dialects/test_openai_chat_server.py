"""Requests are read or refused by position or field; replies and errors are told as OpenAI's clients expect them."""

import json
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.core.events import BlockDelta, BlockEnded, BlockStarted, Ended, Event, Packet, Started, Usage
from moongate.core.reply import Block, Reply
from moongate.core.request import ChatRequest, RequestHead
from moongate.dialects.dialect import Echo, Server, choose
from moongate.dialects.openai_chat.server import ERRORS, OpenAIChat
from scripted import asked

SERVER: Server = OpenAIChat()
GOOD = b'{"model":"kimi-k3","messages":[{"role":"user","content":"hi"}]}'


def head(**headers: str) -> RequestHead:
    named: Mapping[str, str] = {name.replace("_", "-"): value for name, value in headers.items()}
    return RequestHead(named, "r1", 5.0)


def refused(body: bytes, **headers: str) -> GatewayError:
    with pytest.raises(GatewayError) as failure:
        SERVER.decode(body, head(**headers))
    assert (failure.value.kind, failure.value.status) == (Kind.INVALID_REQUEST, 400)
    return failure.value


def test_a_request_is_read_and_its_bytes_are_kept() -> None:
    body = b' {"messages":[{"role":"user","content":"hi"}], "model":"m","stream":true,"x":1.00}'
    ask = SERVER.decode(body, head())
    assert ask == ChatRequest(
        id="r1", received=5.0, model="m", stream=True, include_usage=False, params="adapt", origin=ask.origin
    )
    assert ask.origin.body is body
    assert ask.origin.dialect == "openai.chat"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [("null", False), ("{}", False), ('{"include_usage":null}', False), ('{"include_usage":true}', True)],
)
def test_usage_is_told_to_who_asks_for_it(options: str, wanted: bool) -> None:
    body = GOOD[:-1] + f',"stream_options":{options}}}'.encode()
    assert SERVER.decode(body, head()).include_usage is wanted


ACCEPTED = {
    "parts": '"messages":[{"role":"user","content":[{"type":"image_url","image_url":"x"},{"type":"text","text":"a"}]}]',
    "no content beside tool calls": '"messages":[{"role":"assistant","content":null,"tool_calls":[]}]',
    "tools in a message": '"messages":[{"role":"system","tools":[]},{"role":"user","content":""}]',
    "partial mode": '"messages":[{"role":"assistant","partial":true,"content":"{"}]',
    "nulls": '"messages":[{"role":"user"}],"stream":null,"tools":null,"temperature":null,"stop":null,"n":null',
    "built-in tools": '"messages":[{"role":"u"}],"tools":[{"type":"builtin","function":{"name":"$web_search"}}]',
    "spelled numbers": '"messages":[{"role":"user"}],"temperature":1,"top_p":1e0,"n":1,"max_tokens":5',
    "unknown fields": '"messages":[{"role":"user","x":[]}],"thinking":{"type":"x"},"zz":{"y":12345678901234567890}',
    "repeated keys further down": '"messages":[{"role":"user","role":"user"}],"x":{"a":1,"a":2}',
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_kimi_takes_is_accepted(name: str) -> None:
    assert SERVER.decode(f'{{"model":"m",{ACCEPTED[name]}}}'.encode(), head()).model == "m"


MALFORMED = {
    "nothing": b"",
    "spaces": b" \n",
    "text": b"hello",
    "truncated": GOOD[:-5],
    "truncated in a string": b'{"model":"kimi',
    "something behind it": GOOD + b"x",
    "two objects": GOOD + GOOD,
    "a trailing comma": GOOD[:-1] + b",}",
    "single quotes": GOOD.replace(b'"', b"'"),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a NUL": GOOD.replace(b"hi", b"h\0i"),
    "a line end in a string": GOOD.replace(b"hi", b"h\ni"),
    "invalid UTF-8": GOOD.replace(b"hi", b"h\xffi"),
    "half a character": GOOD.replace(b"hi", "月".encode()[:2]),
    "a lone surrogate": GOOD.replace(b"hi", rb"\ud83d"),
    "an unknown escape": GOOD.replace(b"hi", rb"\q"),
    "NaN": GOOD[:-1] + b',"temperature":NaN}',
    "Infinity": GOOD[:-1] + b',"x":Infinity}',
    "a number with a leading zero": GOOD[:-1] + b',"x":01}',
    "absurd nesting": GOOD[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "absurd nesting in a message": b'{"model":"m","messages":[{"role":"user","x":' + b"[" * 100_000,
    "absurd nesting of objects": GOOD[:-1] + b',"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_json_is_refused(name: str) -> None:
    error = refused(MALFORMED[name])
    assert error.message.startswith(("the body is not valid JSON: ", "the body is nested too deeply"))
    assert error.param is None


def test_malformed_json_is_refused_with_its_position() -> None:
    assert "byte 10" in refused(b'{"model": x}').message


@pytest.mark.parametrize(
    "more", [b', "presence_penalty":"\xff"}', b',"presence_penalty":"\xff"}'], ids=["spaced", "compact"]
)
def test_invalid_utf_8_is_refused_in_fields_nobody_reads_too(more: bytes) -> None:
    assert "UTF-8" in refused(GOOD[:-1] + more).message.upper()


WRONG = {
    "a list": (b"[]", None),
    "a text": (b'"x"', None),
    "null": (b"null", None),
    "no model": (b'{"messages":[{"role":"user"}]}', "model"),
    "an empty model": (b'{"model":"","messages":[{"role":"user"}]}', "model"),
    "an endless model": (b'{"model":"' + b"x" * 257 + b'","messages":[{"role":"user"}]}', "model"),
    "a model that is a number": (b'{"model":7,"messages":[{"role":"user"}]}', "model"),
    "no messages": (b'{"model":"m"}', "messages"),
    "empty messages": (b'{"model":"m","messages":[]}', "messages"),
    "messages that are null": (b'{"model":"m","messages":null}', "messages"),
    "messages that are a text": (b'{"model":"m","messages":"hi"}', "messages"),
    "a message that is a text": (b'{"model":"m","messages":["hi"]}', "messages[0]"),
    "no role": (b'{"model":"m","messages":[{"role":"user"},{"content":"hi"}]}', "messages[1].role"),
    "a role that is null": (b'{"model":"m","messages":[{"role":null}]}', "messages[0].role"),
    "content that is a number": (b'{"model":"m","messages":[{"role":"user","content":7}]}', "messages[0].content"),
    "a part that is a text": (b'{"model":"m","messages":[{"role":"user","content":["a"]}]}', "messages[0].content[0]"),
    "a part without a type": (
        b'{"model":"m","messages":[{"role":"user","content":[{"text":"a"}]}]}',
        "messages[0].content[0].type",
    ),
    "a part's text that is a number": (
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":1}]}]}',
        "messages[0].content[0].text",
    ),
    "a stream that is a text": (GOOD[:-1] + b',"stream":"true"}', "stream"),
    "options that are a flag": (GOOD[:-1] + b',"stream_options":true}', "stream_options"),
    "usage that is a number": (GOOD[:-1] + b',"stream_options":{"include_usage":1}}', "stream_options.include_usage"),
    "tools that are an object": (GOOD[:-1] + b',"tools":{}}', "tools"),
    "a function without a name": (
        GOOD[:-1] + b',"tools":[{"type":"function","function":{}}]}',
        "tools[0].function.name",
    ),
    "a temperature that is a text": (GOOD[:-1] + b',"temperature":"1"}', "temperature"),
    "half an answer": (GOOD[:-1] + b',"n":1.5}', "n"),
    "a stop of numbers": (GOOD[:-1] + b',"stop":[1]}', "stop[0]"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_field_is_refused_by_name(name: str) -> None:
    body, param = WRONG[name]
    error = refused(body)
    assert error.param == param
    assert error.message.startswith(f"{param or 'the body'}: ")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        (b',"model":"other"}', "model"),
        (rb',"mod\u0065l":"other"}', "model"),
        (b' , "messages" : []}', None),
        (b',"x":1,"x":1}', "x"),
        (b', "x": {"y":1}, "x": 2}', "x"),
    ],
)
def test_a_field_that_stands_twice_is_refused(more: bytes, param: str | None) -> None:
    error = refused(GOOD[:-1] + more)
    assert error.param == param or param is None
    if param:
        assert f"{param!r} twice" in error.message


HEAVY = {
    "a number of 5000 digits": GOOD[:-1] + b', "seed": ' + b"1" * 5000 + b"}",
}


@pytest.mark.parametrize("name", HEAVY)
def test_an_odd_value_of_an_unknown_field_is_none_of_our_business(name: str) -> None:
    assert SERVER.decode(HEAVY[name], head()).model == "kimi-k3"


@pytest.mark.parametrize("said", ["strict", " Pass ", "ADAPT"])
def test_params_say_how_a_request_is_made_to_fit(said: str) -> None:
    assert SERVER.decode(GOOD, head(x_moongate_params=said)).params == said.strip().lower()


@pytest.mark.parametrize("said", ["", "loose", "\x1b[2J"])
def test_unknown_params_are_refused(said: str) -> None:
    assert refused(GOOD, x_moongate_params=said).param == "x-moongate-params"


def decode_or_refuse(body: bytes) -> None:
    try:
        SERVER.decode(body, head())
    except GatewayError as error:
        json.loads(SERVER.refuse(error))


@given(st.binary(max_size=64) | st.text(max_size=40).map(str.encode))
def test_random_bytes_are_read_or_refused(body: bytes) -> None:
    decode_or_refuse(body)


@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.binary(max_size=4))
def test_a_damaged_request_is_read_or_refused(start: int, end: int, instead: bytes) -> None:
    decode_or_refuse(GOOD[:start] + instead + GOOD[max(start, end) :])


NAMES = ["model", "messages", "role", "content", "type", "text", "tools", "function", "name", "stream", "stop", "n"]
VALUES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["user", "text", "", "🌙", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([None, 1]))
def test_random_json_is_read_or_refused(value: object, indent: int | None) -> None:
    decode_or_refuse(json.dumps(value, indent=indent).encode())
    decode_or_refuse(json.dumps({"model": "m", "messages": [{"role": "user", "content": value}]}).encode())
    decode_or_refuse(json.dumps({"model": "m", "messages": [value], "tools": value, "stop": value}).encode())


# Replies.

USAGE = Usage(88, 20, 64, 11)
EVENTS: tuple[Event, ...] = (
    Started("chatcmpl-1", "kimi-k3", 1788400000),
    BlockStarted(0, "thinking"),
    BlockDelta(0, "thinking", "hm"),
    BlockEnded(0, "thinking"),
    BlockStarted(1, "text"),
    BlockDelta(1, "text", "月"),
    BlockEnded(1, "text"),
    BlockStarted(2, "tool_call", "t0", "f"),
    BlockDelta(2, "tool_call", "{}"),
    BlockEnded(2, "tool_call"),
    BlockStarted(3, "tool_call", "t1", "g"),
    BlockEnded(3, "tool_call"),
    Ended("tool_calls", USAGE),
)
WIRE_USAGE = {
    "prompt_tokens": 88,
    "completion_tokens": 20,
    "total_tokens": 108,
    "prompt_tokens_details": {"cached_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 11},
}


def test_a_stream_is_told_chunk_by_chunk() -> None:
    told = SERVER.encoder(asked()).encode(Packet(b"", EVENTS)).decode()
    *chunks, done, empty = told.split("\n\n")
    assert (done, empty) == ("data: [DONE]", "")
    read = [json.loads(chunk.removeprefix("data: ")) for chunk in chunks]
    around = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1788400000, "model": "kimi-k3"}
    assert all({name: chunk[name] for name in around} == around for chunk in read)
    assert [chunk["choices"] for chunk in read[-1:]] == [[]]
    assert read[-1]["usage"] == WIRE_USAGE
    assert all("usage" not in chunk for chunk in read[:-1])
    told_choices = [(chunk["choices"][0]["delta"], chunk["choices"][0]["finish_reason"]) for chunk in read[:-1]]
    function = {"name": "f", "arguments": ""}
    assert told_choices == [
        ({"role": "assistant", "content": ""}, None),
        ({"reasoning_content": "hm"}, None),
        ({"content": "月"}, None),
        ({"tool_calls": [{"index": 0, "id": "t0", "type": "function", "function": function}]}, None),
        ({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}, None),
        ({"tool_calls": [{"index": 1, "id": "t1", "type": "function", "function": {**function, "name": "g"}}]}, None),
        ({}, "tool_calls"),
    ]


def test_usage_is_not_told_unasked_nor_made_up() -> None:
    assert b"usage" not in SERVER.encoder(asked(include_usage=False)).encode(Packet(b"", EVENTS))
    assert b"usage" not in SERVER.encoder(asked()).encode(Packet(b"", (*EVENTS[:-1], Ended("stop"))))
    reply = Reply("i", "m", 1, (), "stop", None)
    assert "usage" not in json.loads(SERVER.encoder(asked()).whole(reply))


def test_a_whole_reply_is_told_in_one_piece() -> None:
    blocks = (
        Block("thinking", "h"),
        Block("text", "a"),
        Block("thinking", "m"),
        Block("text", "b"),
        Block("tool_call", "{}", "t0", "f"),
    )
    told = json.loads(SERVER.encoder(asked()).whole(Reply("i", "m", 7, blocks, "filtered", USAGE, b"other")))
    call = {"id": "t0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "ab", "reasoning_content": "hm", "tool_calls": [call]}
    assert told == {
        "id": "i",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "content_filter"}],
        "usage": WIRE_USAGE,
    }


@pytest.mark.parametrize(
    ("blocks", "content"),
    [
        ((), ""),
        ((Block("thinking", "hm"),), ""),
        ((Block("tool_call", "{}", "t", "f"),), None),
        ((Block("text", "a"), Block("tool_call", "{}", "t", "f")), "a"),
    ],
)
def test_a_message_without_text_has_none_only_beside_tool_calls(blocks: tuple[Block, ...], content: str | None) -> None:
    told = json.loads(SERVER.encoder(asked()).whole(Reply("i", "m", 7, blocks, "stop", None)))
    assert told["choices"][0]["message"]["content"] == content


def test_what_the_upstream_left_unsaid_is_the_requests_own() -> None:
    chunk = SERVER.encoder(asked(model="alias")).encode(Packet(b"", (Started("", "", 0),)))
    told = json.loads(chunk.removeprefix(b"data: "))
    assert (told["id"], told["model"], told["created"]) == ("chatcmpl-r1", "alias", 1)


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.code)
def test_every_failure_has_an_error_body(kind: Kind) -> None:
    told = json.loads(SERVER.refuse(GatewayError(kind, "because 月", param="messages[0]")))
    assert told == {
        "error": {"message": "because 月", "type": ERRORS[kind][0], "param": "messages[0]", "code": ERRORS[kind][1]}
    }


def test_the_upstreams_own_type_takes_the_place_of_ours() -> None:
    told = json.loads(SERVER.refuse(GatewayError(Kind.REQUEST_REFUSED, "m", type="theirs")))
    assert told["error"]["type"] == "theirs"


def test_a_stream_that_breaks_ends_in_an_error_and_no_terminator() -> None:
    encoder = SERVER.encoder(asked())
    failure = GatewayError(Kind.TRUNCATED, "cut")
    assert encoder.fail(failure) == SERVER.fail(failure) == b"data: " + SERVER.refuse(failure) + b"\n\n"


# Which encoder.


@pytest.mark.parametrize(
    ("dialect", "streamed", "stream", "echoed"),
    [
        ("openai.chat", True, True, True),
        ("openai.chat", False, False, True),
        ("openai.chat", True, False, False),
        ("openai.chat", False, True, False),
        ("kimi.connect", True, True, False),
        ("kimi.connect", False, False, False),
    ],
)
def test_a_reply_is_echoed_where_language_and_form_are_the_callers(
    dialect: str, streamed: bool, stream: bool, echoed: bool
) -> None:
    chosen = choose(SERVER, asked(stream=stream), dialect, streamed=streamed)
    assert isinstance(chosen, Echo) is echoed


def test_an_echo_adds_the_end_where_the_upstream_forgot_it_and_nothing_else() -> None:
    echo = Echo(SERVER.encoder(asked()))
    assert echo.encode(Packet(b"data: x\n\n", EVENTS)) == b"data: x\n\n"
    assert echo.encode(Packet(b"", (Ended("stop"),))) == b"data: [DONE]\n\n"
    assert echo.encode(Packet(b"")) == b""
    assert echo.whole(msgspec.structs.replace(Reply("", "", 0, (), "stop", None), raw=b"{ }")) == b"{ }"
