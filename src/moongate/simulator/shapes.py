"""The shapes an answer takes on the wire: one whole reply, or the chunks of a stream (wire, 2026-09). No bytes yet."""

import hashlib
from collections.abc import Callable, Iterator
from itertools import chain, zip_longest
from typing import Final

import msgspec

from moongate.simulator.script import IdStyle, Script
from moongate.simulator.speech import Said
from moongate.simulator.tokens import Usage
from moongate.simulator.values import JsonObject


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """All that a shape is made from. `id` is the whole `chatcmpl-…`, `created` in seconds since 1970."""

    id: str
    created: int
    model: str
    said: Said
    usage: Usage
    choices: int
    include_usage: bool
    script: Script

    def usage_of(self, choices: int) -> JsonObject:
        return self.usage.times(choices).as_json() if self.script.usage is None else self.script.usage


def _hex(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:length]


_IDS: Final[dict[IdStyle, Callable[[str, int, str], str]]] = {
    "name_n": lambda name, n, reply: f"{name}_{n}",
    "name:n": lambda name, n, reply: f"{name}:{n}",
    "functions.name:n": lambda name, n, reply: f"functions.{name}:{n}",
    "call_…": lambda name, n, reply: f"call_{_hex(f'{reply} {n}', 24)}",
}


def _call(reply: Reply, n: int) -> JsonObject:
    """A whole tool call; also outside streams it has an `index`."""
    name, arguments = reply.said.tools[n]
    return {
        "index": n,
        "id": _IDS[reply.script.id_style](name.removeprefix("$"), n, reply.id),
        "type": "builtin_function" if name.startswith("$") else "function",
        "function": {"name": name, "arguments": arguments},
    }


def whole(reply: Reply) -> JsonObject:
    said = reply.said
    message: JsonObject = {"role": "assistant", "content": said.text}
    if said.reasoning is not None:
        message["reasoning_content"] = said.reasoning
    if said.tools:
        message["tool_calls"] = [_call(reply, n) for n in range(len(said.tools))]
    return {
        "id": reply.id,
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [
            {"index": index, "message": message, "finish_reason": said.finish_reason} for index in range(reply.choices)
        ],
        "usage": reply.usage_of(reply.choices),
        **reply.script.extra,
    }


def chunks(reply: Reply) -> list[JsonObject]:
    """In order; the choices take turns."""
    turns = zip_longest(*(list(_choice(reply, index)) for index in range(reply.choices)))
    listed = [_chunk(reply, [choice]) for choice in chain.from_iterable(turns) if choice is not None]
    if reply.include_usage and reply.script.trailing_usage:
        # The additional chunk has no system_fingerprint, and no other chunk has a top-level usage, not even null.
        listed.append({**_head(reply), "choices": [], "usage": reply.usage_of(reply.choices), **reply.script.extra})
    return listed


def _head(reply: Reply) -> JsonObject:
    return {"id": reply.id, "object": "chat.completion.chunk", "created": reply.created, "model": reply.model}


def _chunk(reply: Reply, choices: list[JsonObject]) -> JsonObject:
    chunk = {**_head(reply), "choices": choices}
    if reply.script.system_fingerprint:
        chunk["system_fingerprint"] = f"fpv0_{_hex(reply.model, 8)}"
    return {**chunk, **reply.script.extra}


def _choice(reply: Reply, index: int) -> Iterator[JsonObject]:
    for delta in _deltas(reply):
        yield {"index": index, "delta": delta, "finish_reason": None}
    last: JsonObject = {"index": index, "delta": {}, "finish_reason": reply.said.finish_reason}
    yield {**last, "usage": reply.usage_of(1)} if reply.script.usage_in_choice else last


def _deltas(reply: Reply) -> Iterator[JsonObject]:
    yield {"role": "assistant", "content": ""}
    for piece in _pieces(reply, reply.said.reasoning or ""):
        yield {"reasoning_content": piece}
    if reply.said.reasoning and reply.script.closing_reasoning:
        yield {"reasoning_content": ""}
    for piece in _pieces(reply, reply.said.text):
        yield {"content": piece}
    for n, (name, arguments) in enumerate(reply.said.tools):
        yield {"tool_calls": [{**_call(reply, n), "function": {"name": name, "arguments": ""}}]}
        for piece in _pieces(reply, arguments):
            yield {"tool_calls": [{"index": n, "function": {"arguments": piece}}]}


def _pieces(reply: Reply, text: str) -> Iterator[str]:
    size = reply.script.piece
    return (text[start : start + size] for start in range(0, len(text), size))
