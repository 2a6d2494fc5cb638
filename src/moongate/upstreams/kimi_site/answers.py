"""What the site answers: one JSON object with the whole text in it. It counts no tokens and names no reason to stop."""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

from moongate.core import estimate
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Closed, Delta, Finished, Metered, Opened, Reading, Text, Usage
from moongate.core.pieces import pieces
from moongate.upstreams.kimi_site.refusals import challenged, denied, explain, is_challenge, is_page
from moongate.wire.http import HttpHead, HttpReply

LIMIT = 2 * 1024 * 1024
"""Bytes of a reply; the longest a model of theirs can write has some hundred thousand."""

_UNKNOWN = (b"-1", b"0")
"""What WordPress says to a nonce and to an action it does not know; long ago it did so under 200."""

_value = msgspec.json.Decoder(object).decode


class Asked(Struct, frozen=True):
    """What the reply is told with: `id`, `model` as the caller knows it, `created` in seconds since 1970, `tokens` of
    the message by estimate. `in_pieces`: the caller wants a stream."""

    id: str
    model: str
    created: int
    tokens: int
    in_pieces: bool


class AnswerDecoder:
    """Reads one reply."""

    def __init__(self, head: HttpHead, asked: Asked) -> None:
        self._head = head
        self._asked = asked
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Reading]:
        self._parts.append(data)
        self._size += len(data)
        if self._size > LIMIT:
            raise GatewayError.protocol(f"the site sent a reply of more than {LIMIT} bytes")
        return iter(())

    def end(self) -> Iterator[Reading]:
        body = b"".join(self._parts)
        text = message(HttpReply(self._head, body))
        yield Reading(body, tuple(_deltas(text, self._asked)))


def _deltas(text: str, asked: Asked) -> Iterator[Delta]:
    yield Opened(asked.id, asked.model, asked.created)
    yield from map(Text, pieces(text) if asked.in_pieces else (text,))
    yield Metered(Usage(asked.tokens, estimate.told(len(text)), is_estimate=True))
    yield Finished("stop")
    yield Closed()


def message(reply: HttpReply) -> str:
    """The text in `{"success":true,"data":{"message":"…"}}`. Raises GatewayError for all that is no answer."""
    if not 200 <= reply.head.status < 300:
        raise explain(reply.head, reply.body)
    if is_challenge(reply.head, reply.body):
        raise challenged(reply.head, reply.body)
    said = _said(reply)
    data = said.get("data")
    match said.get("success"):
        case True:
            text = data.get("message") if isinstance(data, dict) else None
            if not isinstance(text, str):
                raise GatewayError.protocol("the site's answer has no message in it")
            if not text.strip():
                raise GatewayError.protocol("the site's answer is empty")
            return text
        case False:
            raise denied(reply, _words(data))
        case _:
            raise GatewayError.protocol("the site's answer does not say whether it is one")


def _said(reply: HttpReply) -> Mapping[str, object]:
    if is_page(reply.head, reply.body):
        raise GatewayError.protocol("the site answered with a web page instead of JSON")
    if reply.body.strip() in _UNKNOWN:
        raise GatewayError(Kind.FAILED, f"the site refused the message: it answered {reply.body.strip().decode()}")
    try:
        said = _value(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        kind = Kind.TRUNCATED if "truncated" in str(error) else Kind.PROTOCOL
        raise GatewayError(kind, f"the site sent malformed JSON: {error}") from error
    if not isinstance(said, dict):
        raise GatewayError.protocol("the site's answer is no JSON object")
    return said


def _words(data: object) -> str:
    """Of a refusal: a text, as the clients of the site know it, or one of the other shapes WordPress writes."""
    match data:
        case str():
            return data
        case {"message": str(words)}:
            return words
        case [{"message": str(words)}, *_]:
            return words
        case _:
            return ""
