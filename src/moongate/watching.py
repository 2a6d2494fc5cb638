"""Notices that files have changed: what the operator edits while the gateway runs. By looking, once a second, which
works on every file system and for every way of writing a file."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TypeAlias

EVERY = 1.0
"""Seconds between two looks."""

Look: TypeAlias = tuple[tuple[str, int, int, int], ...]


async def changes(
    paths: Callable[[], Iterable[Path]], called: asyncio.Event, every: float = EVERY
) -> AsyncIterator[None]:
    """Yields after any of `paths` (files, and folders with what stands in them) has changed and then rested for one
    look, and at once when `called` is set, which it clears."""
    known = seen = look(paths())
    while True:
        try:
            async with asyncio.timeout(every):
                await called.wait()
        except TimeoutError:
            now = look(paths())
            has_changed, seen = now == seen != known, now
            if not has_changed:
                continue
        called.clear()
        known = seen = look(paths())
        yield


def look(paths: Iterable[Path]) -> Look:
    """What can be seen of files from outside: name, time, size and which one it is."""
    return tuple(sorted(entry for path in paths for entry in _entries(path)))


def _entries(path: Path) -> list[tuple[str, int, int, int]]:
    try:
        if path.is_dir():
            return [entry for inner in path.iterdir() if inner.is_file() for entry in _entries(inner)]
        status = path.stat()
    except OSError:  # not there, or no longer
        return []
    return [(str(path), status.st_mtime_ns, status.st_size, status.st_ino)]
