"""A message is known again however it is spelled, and no other message is taken for it."""

import json

import pytest

from moongate.conversations.normal import line
from moongate.dialects.openai_chat.prompt import message_of

PICTURE = "data:image/png;base64,aGVsbG8="


def digest(message: object) -> bytes:
    return line(message_of(json.dumps(message).encode())).digest


def call(id: str, arguments: str, name: str = "look") -> dict[str, object]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


SAME = [
    ({"role": "user", "content": "hi"}, {"role": "user", "content": " hi\n"}),
    ({"role": "user", "content": "hi"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}),
    ({"role": "user", "content": "hi"}, {"role": "user", "content": [{"type": "text", "text": t} for t in ("h", "i")]}),
    ({"role": "system", "content": "x"}, {"role": "developer", "content": "x"}),
    ({"role": "assistant", "content": "x"}, {"role": "assistant", "content": "x", "reasoning_content": "hm"}),
    ({"role": "assistant", "content": "x"}, {"role": "assistant", "content": "x", "annotations": [], "refusal": None}),
    (
        {"role": "assistant", "content": None, "tool_calls": [call("functions.look:0", '{"a": 1, "b": 2}')]},
        {"role": "assistant", "content": "", "tool_calls": [call("call_1", '{"b":2,"a":1}')]},
    ),
    (
        {"role": "tool", "tool_call_id": "functions.look:0", "content": "seen"},
        {"role": "tool", "tool_call_id": "functions_look_0", "content": [{"type": "text", "text": "seen"}]},
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_said_otherwise_is_the_same(one: object, other: object) -> None:
    assert digest(one) == digest(other)


DIFFERENT = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "hi"},
    {"role": "system", "content": "hi"},
    {"role": "user", "content": "Hi"},
    {"role": "user", "content": "h i"},
    {"role": "user", "content": ""},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]},
    {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": PICTURE}}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}, {"type": "text", "text": "hi"}]},
    {"role": "user", "content": [{"type": "hologram", "hologram": 1}]},
    {"role": "user", "content": [{"type": "hologram", "hologram": 2}]},
    {"role": "assistant", "tool_calls": [call("1", "{}")]},
    {"role": "assistant", "tool_calls": [call("1", "{}", "listen")]},
    {"role": "assistant", "tool_calls": [call("1", '{"a":1}')]},
    {"role": "assistant", "tool_calls": [call("1", "{}"), call("2", "{}")]},
    {"role": "tool", "tool_call_id": "1", "content": "hi"},
]


def test_what_is_different_is_told_apart() -> None:
    assert len({digest(message) for message in DIFFERENT}) == len(DIFFERENT)
