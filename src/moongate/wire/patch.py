"""Change a few top-level keys of a JSON object and leave every other byte as it came.

Key order, number literals and spelling inside the values belong to the caller: structured output follows key order,
and an integer of twenty digits does not survive a float.
"""

import json
from collections.abc import Mapping
from enum import Enum

import msgspec
from msgspec import Raw

_read = msgspec.json.Decoder(dict[str, Raw]).decode
_write = msgspec.json.Encoder().encode


class Gone(Enum):
    """Says in a patch that a key is to be dropped."""

    GONE = "gone"


GONE = Gone.GONE


def fields(body: bytes) -> dict[str, Raw]:
    """The top-level members, values unread. Raises msgspec.DecodeError."""
    return _read(body)


def patch(body: bytes, changes: Mapping[str, object]) -> bytes:
    """`body` with each key of `changes` set, or dropped where its value is GONE; the same object if nothing changes.

    Keys keep their places; new ones come last. Values may be `msgspec.Raw`.
    """
    if not changes:
        return body
    members: dict[str, object] = {**_read(body)}
    for key, value in changes.items():
        if value is GONE:
            members.pop(key, None)
        else:
            members[key] = value
    return _write(members)


def repeated_key(body: bytes) -> str | None:
    """A top-level key that stands in a JSON object twice, else None. `body` is known to be a well-formed object.

    Readers disagree about which of the two counts, so what we judged would not be what the upstream obeys. In compact
    JSON the length alone shows that no key was lost; only then is the slower look needed.
    """
    members = _read(body)
    if len(_write(members)) == len(body):
        return None
    pairs = _top_level_pairs(body)
    names = [name for name, _ in pairs]
    return next((name for name in names if names.count(name) > 1), None) if len(names) != len(members) else None


def _top_level_pairs(body: bytes) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []

    def keep(pairs: list[tuple[str, object]]) -> None:
        found[:] = pairs  # objects are reported from the inside out, so the last one is the whole

    json.loads(body, object_pairs_hook=keep)
    return found
