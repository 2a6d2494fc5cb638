"""What of the site's stream is read, as it stands on the wire. What is not named here is passed over.

Only that is typed on which the answer's text depends: a search result of an unknown shape is no reason to fail.
proto3's JSON leaves out what is empty, and may write null for it.
"""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from moongate.core.errors import GatewayError


class Said(Struct, frozen=True):
    """Text or thinking. `flags`: "thinking" or "answer", read by several clients of 2026 and in no capture."""

    content: str | None = None
    flags: object = None


class Block(Struct, frozen=True, rename="camel"):
    id: str | int | None = None
    message_id: str | None = None
    text: Said | None = None
    think: Said | None = None
    tool: object = None
    search: object = None
    exception: Raw = Raw()


class Message(Struct, frozen=True):
    id: str | None = None
    role: str | None = None
    status: str | None = None
    blocks: Raw = Raw()
    refs: object = None


class Chat(Struct, frozen=True):
    id: str | None = None


class Notification(Struct, frozen=True):
    type: object = None


class Event(Struct, frozen=True):
    """One data frame of the Connect generation. `mask`: which fields it is about, separated by commas."""

    op: str | None = None
    mask: str | None = None
    chat: Chat | None = None
    message: Message | None = None
    block: Block | None = None
    ref: object = None
    notification: Notification | None = None
    exception: Raw = Raw()
    error: Raw = Raw()
    done: object | UnsetType = UNSET

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(filter(None, (path.strip() for path in (self.mask or "").split(","))))


class Segment(Struct, frozen=True):
    """One event of the older generation."""

    event: str | None = None
    id: str | None = None
    text: str | None = None
    text_delta: str | None = None
    content: object = None
    zone_type: str | None = None
    type: str | None = None
    msg: object = None
    search_results: object = None
    values: object = None
    ref_cards: object = None
    error: object = None
    error_type: str | None = None


_event = msgspec.json.Decoder(Event).decode
_segment = msgspec.json.Decoder(Segment).decode
_blocks = msgspec.json.Decoder(tuple[Block, ...] | None).decode
_object = msgspec.json.Decoder(dict[str, object]).decode

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


NOTHING = frozenset({b"", b"null", b"{}", b"[]", b'""', b"false"})


def says_something(value: Raw) -> bool:
    """Of a member that is an error if it is anything, whatever its shape."""
    return bytes(value).strip() not in NOTHING


def read_event(data: bytes) -> Event:
    """Raises GatewayError (PROTOCOL)."""
    try:
        return _event(data)
    except MALFORMED as error:
        raise _strange(error) from error


def read_segment(data: bytes) -> Segment:
    """Raises GatewayError (PROTOCOL)."""
    try:
        return _segment(data)
    except MALFORMED as error:
        raise _strange(error) from error


def read_blocks(data: Raw) -> tuple[Block, ...]:
    """Of an assistant's message. Raises GatewayError (PROTOCOL)."""
    try:
        return (_blocks(data) if bytes(data) else None) or ()
    except MALFORMED as error:
        raise _strange(error) from error


def is_failure(trailer: bytes) -> bool:
    """Whether a stream's end reports an error; an empty one has been seen under success.

    Raises GatewayError (PROTOCOL).
    """
    try:
        return bool(_object(trailer).get("error")) if trailer.strip() else False
    except MALFORMED as error:
        raise _strange(error) from error


def _strange(error: Exception) -> GatewayError:
    what = "an event of an unknown shape" if isinstance(error, msgspec.ValidationError) else "malformed JSON"
    return GatewayError.protocol(f"the upstream sent {what}: {error}")
