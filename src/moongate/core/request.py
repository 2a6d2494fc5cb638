"""What a caller asked for, and the bytes it was asked in.

A field enters `ChatRequest` only when two dialects mean the same thing by it. Everything else stays in `origin.body`
and reaches an upstream of the same dialect untouched.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

Params: TypeAlias = Literal["adapt", "strict", "pass"]
"""How parameters the upstream refuses are treated: made to fit and announced, refused by name, or sent as they came."""


class RequestHead(Struct, frozen=True):
    """Header names are in lower case; `received` is in seconds since 1970. `conversation`: the one the path names."""

    headers: Mapping[str, str]
    request_id: str
    received: float = 0.0
    conversation: str = ""


class Origin(Struct, frozen=True):
    dialect: str
    body: bytes


class ChatRequest(Struct, frozen=True, kw_only=True):
    """`include_usage`: the caller of a stream wants the token counts told at its end. `choices`: how many answers.
    `session`: the caller's own name for what this belongs to, if it gave one; `user`: for the person it is asked for.
    """

    id: str
    received: float
    model: str
    stream: bool
    include_usage: bool
    choices: int = 1
    session: str = ""
    user: str = ""
    params: Params
    origin: Origin
