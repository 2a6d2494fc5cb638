"""Envelopes of the Connect protocol's streams: bytes in, envelopes out, and back. No I/O.

An envelope is a byte of flags, the payload's length in four bytes (big-endian) and the payload, as Connect's
specification says under "Streaming". Envelopes keep the bytes they came in, so that the concatenation of `raw` and of
what `end` returns is what was fed, byte for byte.
"""

from collections.abc import Iterator

from msgspec import Struct

from moongate.core.errors import GatewayError

LIMIT = 8 * 1024 * 1024
"""Bytes of one payload. What is no envelope at all, such as a web page, is told by the length it seems to have."""

DATA, COMPRESSED, END = 0x00, 0x01, 0x02
HEAD = 5


class Envelope(Struct, frozen=True):
    """A data envelope without payload carries nothing; it is there for its bytes."""

    raw: bytes
    flags: int
    payload: bytes

    @property
    def is_end(self) -> bool:
        """The last one of a stream, whose payload says how it went."""
        return self.flags == END


class EnvelopeDecoder:
    """Cuts a byte stream into envelopes. Raises GatewayError (PROTOCOL) for what is compressed, bears flags nobody
    knows, or is longer than `LIMIT`."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Envelope]:
        self._rest += data
        while (size := _size(self._rest)) and len(self._rest) >= size:
            raw = bytes(self._rest[:size])
            del self._rest[:size]
            yield Envelope(raw, raw[0], raw[HEAD:])

    def end(self) -> bytes:
        """What was left: half an envelope, where the stream was cut."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest


def _size(buffer: bytearray) -> int:
    """Of the envelope the buffer begins with; 0 while that cannot be told."""
    if buffer and buffer[0] not in (DATA, END):
        what = "a compressed envelope" if buffer[0] & COMPRESSED else "an envelope with unknown flags"
        raise GatewayError.protocol(f"the upstream sent {what}: {buffer[0]:#04x}")
    if len(buffer) < HEAD:
        return 0
    length = int.from_bytes(buffer[1:HEAD], "big")
    if length > LIMIT:
        raise GatewayError.protocol(f"the upstream sent an envelope of more than {LIMIT} bytes")
    return HEAD + length


def encode_envelope(payload: bytes, flags: int = DATA) -> bytes:
    return bytes((flags,)) + len(payload).to_bytes(4, "big") + payload
