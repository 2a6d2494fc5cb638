"""One file of the outbox: framed changes, one after the other, each with a number of its own and a checksum."""

import errno
import os
import secrets
import shutil
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

import msgspec
import structlog

from moongate.conversations.record import Change
from moongate.storage.files import write_private

ENDING = ".log"

MARK = b"MgO1"
HEAD = Struct(">4sQII")
"""The mark, the number, the checksum of the number and the body, and the length of the body in bytes."""

Numbered = tuple[int, Change]

_log = structlog.get_logger()
_encode = msgspec.msgpack.Encoder().encode
_decode: msgspec.msgpack.Decoder[Change] = msgspec.msgpack.Decoder(Change)


class Segment:
    """Its changes are numbered without gaps from `first` on; `ends` says where in the file each of them ends."""

    def __init__(self, path: Path, first: int) -> None:
        self.path = path
        self.first = first
        self.ends = array("Q")

    @property
    def last(self) -> int:
        """The number of its last change; one less than `first` while there is none."""
        return self.first + len(self.ends) - 1

    @property
    def size(self) -> int:
        return self.ends[-1] if self.ends else 0

    def start(self, number: int) -> int:
        """Where this change begins."""
        return self.ends[number - self.first - 1] if number > self.first else 0

    def read(self, low: int, high: int) -> list[Numbered]:
        """The changes of these numbers. Raises OSError, also for what is no longer as it was written."""
        start = self.start(low)
        with self.path.open("rb") as file:
            file.seek(start)
            data = file.read(self.start(high + 1) - start)
        found = [(number, change) for number, change, _ in frames(data)]
        if [number for number, _ in found] != [*range(low, high + 1)]:
            raise OSError(errno.EIO, "the outbox is damaged", str(self.path))
        return found


def segment_path(folder: Path, first: int) -> Path:
    return folder / f"{first:020d}{ENDING}"


def framed(number: int, change: Change) -> bytes:
    body = _encode(change)
    return HEAD.pack(MARK, number, _checksum(number, body), len(body)) + body


def frames(data: bytes) -> Iterator[tuple[int, Change, int]]:
    """The number and the change of each whole frame, and where it ends; up to the first that is none."""
    at = 0
    while (frame := _frame(data, at)) is not None:
        yield frame
        at = frame[2]


def opened(path: Path) -> Segment | None:
    """A file an earlier process left, as far as it can be read; None where nothing can, and then it is gone.

    A half-written end is cut off: whoever wrote it was ended before it could tell anybody. A file that is damaged
    further up keeps what stands before the damage, and is set aside as it was. Raises OSError.
    """
    data = path.read_bytes()
    segment = _scanned(path, data)
    if (size := segment.size if segment else 0) < len(data):
        _repair(path, data, size)
    if segment is None:
        path.unlink()
    return segment


def _scanned(path: Path, data: bytes) -> Segment | None:
    segment: Segment | None = None
    for number, _, end in frames(data):
        segment = segment or Segment(path, number)
        if number != segment.last + 1:
            break
        segment.ends.append(end)
    return segment


def _repair(path: Path, data: bytes, size: int) -> None:
    lost = len(data) - size
    if not _has_frame(data, size):
        _log.warning("end of the outbox cut off", path=str(path), size=lost)
        os.truncate(path, size)
        return
    aside = path.with_suffix(f".{secrets.token_hex(4)}.corrupt")
    shutil.copy2(path, aside)
    _log.error("outbox damaged", path=str(path), size=lost, kept_as=str(aside))
    write_private(path, data[:size])


def _has_frame(data: bytes, at: int) -> bool:
    """Whether there is anything after what cannot be read that can."""
    while (at := data.find(MARK, at + 1)) >= 0:
        if _frame(data, at) is not None:
            return True
    return False


def _frame(data: bytes, at: int) -> tuple[int, Change, int] | None:
    if len(data) - at < HEAD.size:
        return None
    mark, number, checksum, length = HEAD.unpack_from(data, at)
    end = at + HEAD.size + length
    body = data[at + HEAD.size : end]
    if mark != MARK or end > len(data) or checksum != _checksum(number, body):
        return None
    try:
        return number, _decode.decode(body), end
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # whole, but of a version that writes what this one cannot read


def _checksum(number: int, body: bytes) -> int:
    return zlib.crc32(body, number & 0xFFFFFFFF)
