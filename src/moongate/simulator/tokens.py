"""How tokens are counted: a deterministic stand-in for the real tokenizer, one token for every 4 bytes of UTF-8.

A request costs the tokens of its tools plus those of each message (content text, reasoning, names and arguments of
tool calls; 256 for each image or video), each rounded up, and at least 1 in all. An answer costs the tokens of its
reasoning, text and tool calls. Cached are the tokens of the longest run of leading messages that the same credential
has sent before with the same model, tools and thinking, if they are at least 64.
"""

import hashlib
from typing import Final

import msgspec

from moongate.simulator.asked import Asked
from moongate.simulator.values import JsonObject, as_object, as_objects, as_text, content_text, dumps

_BYTES_A_TOKEN: Final = 4
_MEDIA_TOKENS: Final = 256
_LEAST_CACHED: Final = 64
_REMEMBERED: Final = 8192


def count(text: str | bytes) -> int:
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    return -(-len(data) // _BYTES_A_TOKEN)


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one answer. `reasoning` is part of `completion`, `cached` of `prompt`; None means not reported."""

    prompt: int = 0
    completion: int = 0
    reasoning: int | None = None
    cached: int = 0

    def as_json(self) -> JsonObject:
        """Cached tokens are absent, not 0, without a hit (wire, 2026-09)."""
        usage: JsonObject = {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        }
        if self.cached:
            usage["cached_tokens"] = self.cached
        if self.reasoning is not None:
            usage["completion_tokens_details"] = {"reasoning_tokens": self.reasoning}
        if self.cached:
            usage["prompt_tokens_details"] = {"cached_tokens": self.cached}
        return usage

    def times(self, choices: int) -> "Usage":
        """What `choices` answers to one prompt cost together."""
        reasoning = None if self.reasoning is None else self.reasoning * choices
        return msgspec.structs.replace(self, completion=self.completion * choices, reasoning=reasoning)


def prompt_tokens(asked: Asked) -> int:
    return max(1, _tool_tokens(asked) + sum(map(_message_tokens, asked.messages)))


def _tool_tokens(asked: Asked) -> int:
    return count(dumps(asked.declared_tools)) if asked.declared_tools else 0


def _message_tokens(message: JsonObject) -> int:
    parts = as_objects(message.get("content"))
    media = sum(part.get("type") in ("image_url", "video_url") for part in parts)
    return count("".join(_words(message))) + media * _MEDIA_TOKENS


def _words(message: JsonObject) -> list[str]:
    calls = [as_object(call.get("function")) for call in as_objects(message.get("tool_calls"))]
    called = [as_text(call.get(member)) for call in calls for member in ("name", "arguments")]
    tools = dumps(message["tools"]).decode() if message.get("tools") else ""
    return [content_text(message.get("content")), as_text(message.get("reasoning_content")), *called, tools]


class Prefixes:
    """Which beginnings of requests have been seen; the oldest are forgotten."""

    def __init__(self) -> None:
        self._seen: dict[bytes, None] = {}

    def clear(self) -> None:
        self._seen.clear()

    def cached(self, credential: str, asked: Asked) -> int:
        """The cached tokens of this request, which is remembered for the next."""
        effort = asked.body.get("reasoning_effort")
        seed = [credential, asked.model.id, asked.declared_tools, asked.body.get("thinking"), effort]
        digest = hashlib.sha256(dumps(seed)).digest()
        total, cached, unbroken = _tool_tokens(asked), 0, True
        for message in asked.messages:
            digest = hashlib.sha256(digest + dumps(message)).digest()
            total += _message_tokens(message)
            unbroken = unbroken and digest in self._seen
            cached = total if unbroken else cached
            self._seen.pop(digest, None)
            self._seen[digest] = None
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return cached if cached >= _LEAST_CACHED else 0
