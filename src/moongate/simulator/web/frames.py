"""The frames of the newer generation: what one event is, and the bytes around it."""

import struct
from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from moongate.simulator.values import JsonObject, dumps
from moongate.simulator.web.steps import Land, Step, Tell

HEARTBEAT: Final[JsonObject] = {"heartbeat": {}}
_END: Final = 2


class Event(msgspec.Struct, frozen=True):
    """An event before it has its place in the stream; what of the answer it tells."""

    value: JsonObject
    thinking: str = ""
    text: str = ""


def envelope(payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">BI", flags, len(payload)) + payload


def trailer(error: JsonObject | None = None) -> bytes:
    return envelope(dumps({} if error is None else {"error": error}), _END)


def change(op: Literal["set", "append"], mask: str, **container: object) -> JsonObject:
    """An event that changes what the client knows; "" for no mask."""
    return {"op": op, **({"mask": mask} if mask else {}), **container}


def numbered(parts: Iterable[Event | Land | bytes], *, zero_frames: bool) -> Iterator[Step]:
    """Every event but heartbeats gets its offset; bytes are whole envelopes."""
    before = envelope(b"") if zero_frames else b""
    offset = 0
    for part in parts:
        match part:
            case Land():
                yield part
            case bytes():
                yield Tell(part)
            case Event(value, thinking, text):
                offset += "heartbeat" not in value
                yield Tell(before + envelope(dumps(_placed(value, offset))), thinking, text)


def _placed(value: JsonObject, offset: int) -> JsonObject:
    """The offset stands behind `op` and `mask`, as it was captured."""
    if "heartbeat" in value:
        return value
    first: JsonObject = {name: value[name] for name in ("op", "mask") if name in value}
    return {**first, "eventOffset": offset, **{name: inner for name, inner in value.items() if name not in first}}
