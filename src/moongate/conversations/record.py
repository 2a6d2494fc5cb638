"""What is kept of a conversation, and the changes it is kept by. Values only: others write and read them."""

from typing import TypeAlias

from msgspec import Struct

from moongate.core.turn import Anchor


class Key(Struct, frozen=True):
    """`owner` is a digest of the caller's key, in hexadecimal; `id` is the caller's own name for the conversation."""

    owner: str
    id: str


class Said(Struct, frozen=True):
    """One message, as it came, in the spelling of its dialect."""

    dialect: str
    body: bytes


class Advanced(Struct, frozen=True, tag="advanced"):
    """A conversation went on at a moment (seconds since 1970): its first `kept` messages stay, what stood after them is
    gone, and `said` follows."""

    key: Key
    at: float
    kept: int
    said: tuple[Said, ...]
    anchor: Anchor | None


class Removed(Struct, frozen=True, tag="removed"):
    key: Key
    at: float


Change: TypeAlias = Advanced | Removed


class Stored(Struct, frozen=True):
    """A conversation as all its changes left it."""

    key: Key
    created_at: float
    used_at: float
    said: tuple[Said, ...]
    anchor: Anchor | None
