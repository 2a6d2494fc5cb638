"""Where a running gateway is found: a file in its home, for commands on the same machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from moongate.core.sealed import Sealed
from moongate.storage.files import write_private

FILE = "running.json"

_log = structlog.get_logger()


class Announcement(Struct, frozen=True):
    """`token` opens what only the operator may ask: who may read the home, may ask."""

    url: str
    token: str
    pid: int

    def __repr__(self) -> str:
        return f"Announcement({self.url!r}, pid={self.pid})"


@contextmanager
def announced(home: Path, url: str, word: Sealed) -> Iterator[None]:
    """The file is there while the block lasts. A home that cannot be written costs a warning, not the start."""
    path = home / FILE
    announcement = Announcement(url, word.reveal(), os.getpid())
    try:
        write_private(path, msgspec.json.encode(announcement))
    except OSError as error:
        _log.warning("not announced", path=str(path), reason=error.strerror)
    try:
        yield
    finally:
        if found(home) == announcement:  # else another gateway of the same home has announced itself meanwhile
            with suppress(OSError):
                path.unlink()


def found(home: Path) -> Announcement | None:
    """The gateway that announced itself in this home, if any; it may have died since."""
    try:
        return msgspec.json.decode((home / FILE).read_bytes(), type=Announcement)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
