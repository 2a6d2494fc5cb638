"""A dialect is one way to spell requests and replies. It has up to two halves, named as in HTTP:
the server half reads what clients send and answers them; the client half asks upstreams and reads their replies."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeAlias

from moongate.core.errors import GatewayError
from moongate.core.events import Packet, Reading
from moongate.core.prompt import Message, Prompt
from moongate.core.reply import Reply
from moongate.core.request import ChatRequest, RequestHead
from moongate.wire.http import HttpHead


class Encoder(Protocol):
    """Tells one reply to one client."""

    terminator: bytes
    """What ends a stream that went well."""

    def encode(self, packet: Packet) -> bytes: ...
    def whole(self, reply: Reply) -> bytes: ...
    def fail(self, error: GatewayError) -> bytes:
        """What a client reads at the end of a stream that broke."""


class Server(Protocol):
    dialect: str

    def decode(self, body: bytes, head: RequestHead) -> ChatRequest:
        """Raises GatewayError (INVALID_REQUEST) naming the position or the field."""

    def turns(self, ask: ChatRequest) -> Sequence[bytes]:
        """What has been said so far, message by message, the oldest first: equal bytes for what was said alike."""

    def with_turns(self, ask: ChatRequest, turns: Sequence[bytes]) -> ChatRequest:
        """The same request, in which this has been said so far."""

    def turn_of(self, reply: Reply) -> bytes:
        """A reply as the next request would send it back."""

    def read(self, turn: bytes) -> Message:
        """One of the `turns`, for who does not speak this dialect. Raises GatewayError (INVALID_REQUEST)."""

    def prompt(self, ask: ChatRequest) -> Prompt:
        """The whole request, likewise."""

    def encoder(self, ask: ChatRequest) -> Encoder: ...
    def refuse(self, error: GatewayError) -> bytes:
        """The body of a reply that failed before it began."""

    def fail(self, error: GatewayError) -> bytes:
        """The event that ends a stream in which nothing was said yet."""


class Decoder(Protocol):
    """Reads a reply. Both methods raise GatewayError where the reply reports a failure or is malformed."""

    def feed(self, data: bytes) -> Iterator[Reading]: ...
    def end(self) -> Iterator[Reading]:
        """The bytes have run out: read what was held back."""


Explain: TypeAlias = Callable[[HttpHead, bytes], GatewayError]
"""Reads a refusal: a status and a body, or an error found inside a reply that began well."""


class Echo:
    """Encodes by not encoding, for when the upstream already speaks the client's dialect."""

    def __init__(self, inner: Encoder) -> None:
        self.terminator = inner.terminator
        self.fail = inner.fail

    def encode(self, packet: Packet) -> bytes:
        """The upstream's bytes. Where it forgot to end a reply that is complete, the end is added."""
        return packet.raw or (self.terminator if packet.events else b"")

    def whole(self, reply: Reply) -> bytes:
        return reply.raw


def choose(server: Server, ask: ChatRequest, dialect: str, *, streamed: bool) -> Encoder:
    """How a reply in `dialect` reaches this client. A reply is told anew, too, where it did not come in the form that
    was asked for: a stream for who wanted it whole, or the reverse.

    Raises GatewayError (PROTOCOL) where that would lose all answers but the first.
    """
    telling = server.encoder(ask)
    if dialect == server.dialect and streamed == ask.stream:
        return Echo(telling)
    if ask.choices > 1:
        raise GatewayError.protocol("several answers were asked for, and came in a form of which one can be told")
    return telling
