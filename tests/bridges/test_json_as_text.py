"""JSON is told in one piece and only if it is what was asked for; a schema that cannot be used is refused."""

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from moongate.bridges.json_as_text import Json, told
from moongate.bridges.json_schema import Schema
from moongate.bridges.phrases import ENGLISH
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import (
    Cited,
    Closed,
    Delta,
    Finished,
    FinishReason,
    Metered,
    Opened,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from moongate.core.prompt import Output

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}


def schema(value: object) -> Schema:
    return Schema(Raw(msgspec.json.encode(value)))


def answered(*texts: str, against: object = None, reason: FinishReason = "stop") -> list[Delta]:
    checked = Json(None if against is None else schema(against))
    return list(checked.feed([*map(Text, texts), Finished(reason)]))


def failure(*texts: str, against: object = None) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        answered(*texts, against=against)
    return caught.value


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (['{"a": 1}'], '{"a": 1}'),
        (["{", '"a"', ":1}"], '{"a":1}'),
        (["\n {} \n"], "{}"),
        (['```json\n{"a": 12345678901234567890}\n```'], '{"a": 12345678901234567890}'),
        (["```\n{}\n```\n"], "{}"),
        (["Here it is:\n\n```json\n{}\n```\nAnything else?"], "{}"),
        (['{"code": "```\\nx\\n```"}'], '{"code": "```\\nx\\n```"}'),
    ],
)
def test_json_is_told_in_one_piece_as_the_model_wrote_it(texts: list[str], said: str) -> None:
    assert answered(*texts) == [Text(said), Finished("stop")]


@pytest.mark.parametrize(
    "text",
    ["", " ", "Sure!", "[1]", "1", "null", '{"a":1', "{}{}", "```\n{}\n```\n```\n{}\n```", '{"a":NaN}', "[" * 9999],
)
def test_what_is_no_object_fails_so_that_it_is_asked_again(text: str) -> None:
    error = failure(text)
    assert error.kind is Kind.FAILED
    assert error.message.startswith("the model's answer is not the JSON that was asked for: ")
    assert len(error.message) < 300


@pytest.mark.parametrize("text", ['{"name":"Li"}', '{"name":"Li","age":3}'])
def test_what_fits_the_schema_is_told(text: str) -> None:
    assert answered(text, against=PERSON) == [Text(text), Finished("stop")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{}", "$ breaks the schema's required"),
        ('{"name":"Li","age":-1}', "$.age breaks the schema's minimum"),
        ('{"name":"Li","pin":"1234"}', "$ breaks the schema's additionalProperties"),
        ("[]", "$ breaks the schema's type"),
    ],
)
def test_what_breaks_the_schema_is_said_without_repeating_it(text: str, fault: str) -> None:
    assert failure(text, against=PERSON).message.endswith(f": {fault}")


def test_a_schema_may_ask_for_something_else_than_an_object() -> None:
    assert answered("[1]", against={"type": "array"}) == [Text("[1]"), Finished("stop")]


def test_an_answer_nested_too_deeply_is_not_what_was_asked_for() -> None:
    deep = {"$ref": "#/$defs/list", "$defs": {"list": {"type": "array", "items": {"$ref": "#/$defs/list"}}}}
    assert failure("[" * 300 + "]" * 300, against=deep).kind is Kind.FAILED


@pytest.mark.parametrize("reason", ["length", "filtered"])
def test_an_answer_that_was_broken_off_is_told_as_far_as_it_came(reason: FinishReason) -> None:
    assert answered('{"a":', reason=reason) == [Text('{"a":'), Finished(reason)]


def test_an_answer_that_calls_tools_is_told_as_it_is() -> None:
    call = ToolCall(0, "{}", "call_0", "dice")
    said: list[Delta] = [Text("Let me see."), call, Text("So"), Finished("tool_calls")]
    assert list(Json(None).feed(said)) == said


def test_thinking_and_the_books_are_told_at_once_and_a_cut_answer_is_not_told() -> None:
    passing: list[Delta] = [Opened("r", "m"), Thinking("hm"), Metered(Usage(1, 2))]
    assert list(Json(None).feed([Text('{"a":1}'), *passing, Closed()])) == [*passing, Closed()]


def test_citations_move_with_the_text() -> None:
    text = '```json\n{"a":"b"}\n```'
    at = text.index("b")
    cited = [Cited("u", "t", 0, 3), Cited("u", "t", at, at + 1), Cited("u", "t", 17, 20)]
    assert list(Json(None).feed([*cited, Text(text), Finished("stop")])) == [
        Text('{"a":"b"}'),
        Cited("u", "t", 6, 7),
        Finished("stop"),
    ]


@given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5), st.lists, max_leaves=5))
def test_any_object_is_told_from_within_its_fence(value: object) -> None:
    text = msgspec.json.encode({"value": value}).decode()
    assert answered(text) == [Text(text), Finished("stop")]
    assert answered(f"```json\n{text}\n```") == [Text(text), Finished("stop")]


# Schemas.


@pytest.mark.parametrize(
    "raw",
    [
        b"5",
        b"{",
        b'"object"',
        b'{"type":"nope"}',
        b'{"properties":5}',
        b'{"$ref":5}',
        b'{"$ref":"https://schemas.example/person"}',
        b'{"$ref":"person.json"}',
        b'{"$ref":"#/nope"}',
        b'{"properties":{"a":{"$ref":"#nope"}}}',
        b'{"$dynamicRef":"#nope"}',
        b'{"$ref":"#"}',
        b'{"$schema":5}',
        b'{"items":' * 3000,
        b'{"not":' * 300 + b"{}" + b"}" * 300,
        b'{"type":"\xff"}',
        b'{"title":"' + b"x" * 65536 + b'"}',
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_by_name(raw: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        Schema(Raw(raw))
    assert (caught.value.kind, caught.value.param) == (Kind.INVALID_REQUEST, "response_format")
    assert caught.value.message.startswith("response_format: the schema cannot be used: ")
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("given_", "value", "fits"),
    [
        (True, 1, True),
        (False, 1, False),
        ({}, 1, True),
        ({"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}}, [1, "2"], False),
        ({"definitions": {"n": {"type": "integer"}}, "items": {"$ref": "#/definitions/n"}}, [1, 2], True),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}, [1], False),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "maximum": 3, "exclusiveMaximum": True}, 3, False),
        ({"$schema": "https://schemas.example/own", "type": "string"}, 3, False),
        ({"properties": {"$ref": {"type": "string"}}}, {"$ref": 5}, False),
        ({"properties": {"$schema": {"type": "string"}}}, {"$schema": 5}, False),
        ({"uniqueItems": True}, [1, 1], False),
        ({"uniqueItems": True}, [str(i) for i in range(5000)], True),
        ({"pattern": "^a"}, "b", True),
        ({"patternProperties": {"^a": {}}, "additionalProperties": False}, {"b": 1}, True),
    ],
)
def test_a_schema_means_what_it_says_except_for_patterns(given_: object, value: object, fits: bool) -> None:
    assert (schema(given_).breach(value) == "") is fits


def test_no_schema_holds_up_the_gateway() -> None:
    pattern = {"type": "string", "pattern": "^(a+)+$"}
    own = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": "#/$defs/x", "$defs": {"x": pattern}}
    doubling = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
    costly = {"$defs": {**doubling, "d40": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/d0"}}}
    began = time.monotonic()
    assert schema(own).breach("a" * 40 + "!") == ""
    for value, given_ in (({"a": 1}, costly), ([{"a": i} for i in range(2000)], {"uniqueItems": True})):
        with pytest.raises(GatewayError, match="it takes too long"):
            schema(given_).breach(value)
    assert time.monotonic() - began < 20  # seconds, of a slow machine


def test_json_is_asked_for_in_words() -> None:
    assert told(Output(), ENGLISH, "1f") == ""
    assert told(Output("json"), ENGLISH, "1f") == ENGLISH.json
    assert told(Output("schema"), ENGLISH, "1f") == ENGLISH.json
    given_ = Output("schema", Raw(b'{ "type":\n "object" }'))
    assert told(given_, ENGLISH, "1f") == f'{ENGLISH.schema}\n<schema-1f>\n{{"type":"object"}}\n</schema-1f>'
