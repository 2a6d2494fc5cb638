"""Server-sent events: bytes in, frames out, and back. No I/O.

Frames keep the bytes they came in, comments and odd line ends included, so that the concatenation of `raw` is what
was fed, byte for byte. Lines may end in LF, CRLF or CR, as the HTML standard says.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from moongate.core.errors import GatewayError

LIMIT = 32 * 1024 * 1024
"""Bytes of one unfinished event. Single lines of more than 1 MiB have been seen; a line without end must not eat the
memory."""

_BOM = b"\xef\xbb\xbf"
_LINE_END = rb"(?>\r\n|\n|\r)"  # atomic: a CRLF is never read as CR and then LF
_BLANK_LINE = re.compile(_LINE_END + _LINE_END)


class Frame(Struct, frozen=True):
    """`data` is None for a frame that carries none, such as a comment sent to keep the line awake."""

    raw: bytes
    data: bytes | None = None
    event: str = ""


class SseDecoder:
    """Cuts a byte stream into frames. Raises GatewayError (PROTOCOL) when an event never ends."""

    def __init__(self) -> None:
        self._rest = b""
        self._searched = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        buffer = self._rest + data if self._rest else data
        start, search = 0, self._searched
        while (end := _boundary(buffer, search)) > 0:
            yield _frame(buffer[start:end])
            start = search = end
        self._rest = buffer[start:]
        self._searched = max(0, len(self._rest) - 3)  # a boundary is at most four bytes and may be cut anywhere
        if len(self._rest) > LIMIT:
            raise GatewayError.protocol(f"the upstream sent an event of more than {LIMIT} bytes")

    def end(self) -> Frame | None:
        """What was left without a blank line behind it: a last frame of a careless sender, or half of one."""
        rest, self._rest, self._searched = self._rest, b"", 0
        return _frame(rest) if rest else None


def _boundary(buffer: bytes, start: int) -> int:
    """Where the first blank line at or after `start` ends; -1 if there is none."""
    if b"\r" in buffer:
        found = _BLANK_LINE.search(buffer, start)
        if found is None or (found.end() == len(buffer) and found[0] == b"\r\n\r"):
            return -1  # in the second case its LF is still on its way
        return found.end()
    at = buffer.find(b"\n\n", start)
    return at + 2 if at >= 0 else -1


def _frame(raw: bytes) -> Frame:
    event = ""
    data: list[bytes] = []
    for line in raw.removeprefix(_BOM).splitlines():
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            event = value.removeprefix(b" ").decode(errors="replace")
    return Frame(raw, b"\n".join(data) if data else None, event)


def encode_sse(data: bytes, event: str = "") -> bytes:
    """One event. `data` holds no line end, as compact JSON does not."""
    return (f"event: {event}\n".encode() if event else b"") + b"data: " + data + b"\n\n"


def encode_comment(text: str) -> bytes:
    """A line every SSE reader ignores: it keeps proxies from taking silence for death."""
    return f": {text}\n\n".encode()
