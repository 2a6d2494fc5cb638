"""Change a few top-level keys of a JSON object and leave every other byte as it came.

Key order, number literals and spelling inside the values belong to the caller: structured output follows key order,
and an integer of twenty digits does not survive a float.
"""

import re
from collections.abc import Mapping
from enum import Enum

import msgspec
from msgspec import Raw

_read = msgspec.json.Decoder(dict[str, Raw]).decode
_KEY = re.compile(rb'[ \t\r\n]*("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*')
_write = msgspec.json.Encoder().encode


class Gone(Enum):
    """Says in a patch that a key is to be dropped."""

    GONE = "gone"


GONE = Gone.GONE


def fields(body: bytes) -> dict[str, Raw]:
    """The top-level members, values unread. Raises msgspec.DecodeError."""
    return _read(body)


def members(value: Raw | None) -> dict[str, Raw] | None:
    """The members of a nested object, None for what is no object."""
    if value is None:
        return None
    try:
        return _read(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def patch(body: bytes, changes: Mapping[str, object]) -> bytes:
    """`body` with each key of `changes` set, or dropped where its value is GONE; the same object if nothing changes.

    Keys keep their places; new ones come last. Values may be `msgspec.Raw`.
    """
    if not changes:
        return body
    kept: dict[str, object] = {**_read(body)}
    for key, value in changes.items():
        if value is GONE:
            kept.pop(key, None)
        else:
            kept[key] = value
    return _write(kept)


def repeated_key(body: bytes) -> str | None:
    """A top-level key that stands in a JSON object twice, else None. `body` is known to be a well-formed object.

    Readers disagree about which of the two counts, so what we judged would not be what the upstream obeys. In compact
    JSON the length alone shows that no key was lost; otherwise the keys are looked at, and their values skipped.
    """
    counted = _read(body)
    if len(_write(counted)) == len(body):
        return None
    seen: set[str] = set()
    at = body.index(b"{") + 1
    while key := _KEY.match(body, at):
        name: str = msgspec.json.decode(key[1])
        value = bytes(counted[name])
        # The last of several counts, so one whose value is not the one that counts is not the last.
        if name in seen or not body.startswith(value, key.end()):
            return name
        seen.add(name)
        at = body.find(b",", key.end() + len(value)) + 1
        if not at:
            break
    return None
