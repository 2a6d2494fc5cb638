"""Changes on their way to the database: on disk before anybody is told of them, and until the database has them.

What was appended survives the end of the process, however it ends; a power cut may cost what was appended since the
last `sync`. Applying the changes again from an earlier one than the last acknowledged leads to the same end.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

import filelock
import structlog

from moongate.conversations.record import Change
from moongate.storage.files import private_folder, write_private
from moongate.storage.segment import ENDING, Numbered, Segment, framed, opened, segment_path

FOLDER = "outbox"

SEGMENT_SIZE = 16 * 1024 * 1024
"""Bytes after which a new file is begun. The last change of a file may go beyond."""

BATCH_MOST = 500
BATCH_SIZE = 4 * 1024 * 1024
"""Bytes at which a batch is full, whatever its last change adds."""

_log = structlog.get_logger()


class Outbox:
    """One process at a time has a folder's. `append` belongs to one thread; the others may run beside it in another.

    Raises OSError where the folder cannot be read or written, RuntimeError with a sentence for the operator where
    another process has it.
    """

    def __init__(self, folder: Path, segment_size: int = SEGMENT_SIZE) -> None:
        private_folder(folder)
        self._folder = folder
        self._segment_size = segment_size
        self._owned = _owned(folder)
        try:
            self._segments = [segment for path in _files(folder) if (segment := opened(path)) is not None]
            self._acknowledged = _read_position(_position(folder))
        except OSError:
            self._owned.release()
            raise
        self._last = max(self._acknowledged, *(segment.last for segment in self._segments), 0)
        self._changing = threading.Lock()  # of the lists and numbers here; never held while a disk is waited for
        self._acknowledging = threading.Lock()
        self._file: FileIO | None = None
        self._is_torn = False
        self._unsynced = {segment.path for segment in self._segments}

    @property
    def last(self) -> int:
        """The number of the change that was appended last."""
        return self._last

    @property
    def backlog(self) -> int:
        """How many changes are not acknowledged."""
        return sum(len(_left(segment, self._acknowledged)) for segment in tuple(self._segments))

    def append(self, change: Change) -> int:
        """Its number. Raises OSError, and then it is as if it had not been asked for."""
        with self._changing:
            number = self._last + 1
            frame = framed(number, change)
            file, segment = self._current(number)
            if self._is_torn:
                file.truncate(segment.size)
            self._is_torn = True
            if (written := file.write(frame)) != len(frame):
                raise OSError(f"{segment.path} takes no more: {written} of {len(frame)} bytes were written")
            self._is_torn = False
            segment.ends.append(segment.size + len(frame))
            self._unsynced.add(segment.path)
            self._last = number
        return number

    def pending(self) -> Iterator[Numbered]:
        """All that are not acknowledged, in order. Raises OSError."""
        after = self._acknowledged
        while batch := self.batch(after):
            yield from batch
            after = batch[-1][0]

    def batch(self, after: int | None = None) -> list[Numbered]:
        """The next that follow change `after`, the last acknowledged one where none is given; none where there are no
        more. Raises OSError."""
        done = self._acknowledged if after is None else after
        with self._changing:
            found = next(((one, left) for one in self._segments if (left := _left(one, done))), None)
        if found is None:
            return []
        segment, left = found
        start, high = segment.start(left[0]), left[0]
        while high < left[-1] and high - left[0] + 1 < BATCH_MOST and segment.start(high + 1) - start < BATCH_SIZE:
            high += 1
        return segment.read(left[0], high)

    def acknowledge(self, up_to: int) -> None:
        """What has this number or a lower one is in the database. Files that hold nothing else are deleted.

        Raises OSError; what is then left will be found pending again.
        """
        with self._acknowledging:
            for segment in self._done(up_to):
                segment.path.unlink(missing_ok=True)
                with self._changing:
                    self._segments.remove(segment)
                    self._unsynced.discard(segment.path)
            # After the files: where the disk is full, there is room now. Without it more would only be applied again.
            position = max(self._acknowledged, up_to)
            write_private(_position(self._folder), str(position).encode())
            self._acknowledged = position

    def sync(self) -> None:
        """What was appended so far survives a power cut, too; takes as long as the disk does. Raises OSError."""
        with self._changing:
            paths, self._unsynced = self._unsynced, set()
        try:
            for path in paths:
                with suppress(FileNotFoundError):  # acknowledged meanwhile
                    _sync(path)
            _sync(self._folder)
        except OSError:
            with self._changing:
                self._unsynced |= paths
            raise

    @property
    def is_synced(self) -> bool:
        return not self._unsynced

    def close(self) -> None:
        with self._changing:
            if self._file is not None:
                self._file.close()
                self._file = None
        self._owned.release()

    def _current(self, number: int) -> tuple[FileIO, Segment]:
        """Where the next change goes."""
        if self._file is not None and self._segments[-1].size < self._segment_size:
            return self._file, self._segments[-1]
        path = segment_path(self._folder, number)
        file = FileIO(path, "ab", opener=_private)
        if self._file is not None:
            self._file.close()
        segment = Segment(path, number)
        self._file, self._is_torn = file, True  # a file of that name can only be what another attempt left
        self._segments.append(segment)
        return file, segment

    def _done(self, up_to: int) -> list[Segment]:
        """Those with nothing in them that is still to come; the current one goes on in a new file."""
        with self._changing:
            done = [segment for segment in self._segments if segment.ends and segment.last <= up_to]
            if self._file is not None and done and done[-1] is self._segments[-1]:
                self._file.close()
                self._file = None
            return done


def _left(segment: Segment, done: int) -> range:
    return range(max(segment.first, done + 1), segment.last + 1)


def _owned(folder: Path) -> filelock.BaseFileLock:
    lock = filelock.FileLock(folder / ".lock", mode=0o600, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        message = f"{folder} is in use by another gateway: each needs a MOONGATE_HOME of its own"
        raise RuntimeError(message) from None
    return lock


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{ENDING}"))


def _position(folder: Path) -> Path:
    return folder / "acknowledged"


def _read_position(path: Path) -> int:
    try:
        return max(0, int(path.read_bytes()))
    except FileNotFoundError:
        return 0
    except ValueError:
        _log.warning("outbox starts over", path=str(path), reason="the position is no number")
        return 0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(path: Path) -> None:
    if sys.platform == "win32" and path.is_dir():  # cannot be asked to
        return
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
