"""HTTP as values, so that a protocol can be described without performing it."""

from collections.abc import Generator, Mapping
from typing import TypeAlias, TypeVar

from msgspec import Struct

T = TypeVar("T")


class HttpCall(Struct, frozen=True):
    """`after`: seconds to wait before it is made, for who asks again whether something is done. `patience`: seconds it
    may take where its reply is fetched whole, 0 for the usual. `via`: the name of a transport of its own, empty for the
    usual one."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    after: float = 0.0
    patience: float = 0.0
    via: str = ""

    def __repr__(self) -> str:
        """Without the headers, among which is a credential."""
        return f"HttpCall({self.method} {self.url}, {len(self.body)} bytes)"


class HttpHead(Struct, frozen=True):
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = {}

    @property
    def media_type(self) -> str:
        """`text/event-stream` of `Text/Event-Stream; charset=utf-8`; empty where none was given."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class HttpReply(Struct, frozen=True):
    head: HttpHead
    body: bytes


Flow: TypeAlias = Generator[HttpCall, HttpReply, T]
"""A conversation with a server: yields calls, is sent their replies, returns its result."""
