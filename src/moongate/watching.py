"""Notices that files have changed: what the operator edits while the gateway runs. By looking, once a second, which
works on every file system and for every way of writing a file."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

EVERY = 1.0
"""Seconds between two looks."""

Look: TypeAlias = Mapping[Path, tuple[tuple[str, int, int, int, int], ...]]


async def changes(
    paths: Callable[[], Iterable[Path]], called: asyncio.Event, every: float = EVERY
) -> AsyncIterator[None]:
    """Yields after any of `paths` (files, and folders with what stands in them) has changed and then rested for one
    look, and at once when `called` is set, which it clears. Which paths those are may be another matter each time."""
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
        known = look(paths())
        yield
        # What changed since is news, but not that a path is looked at for the first time, or no longer.
        known = seen = {path: known.get(path, entries) for path, entries in look(paths()).items()}


def look(paths: Iterable[Path]) -> Look:
    """What can be seen of files from outside: name, times, size and which one it is."""
    return {path: tuple(sorted(_entries(path))) for path in paths}


def _entries(path: Path) -> list[tuple[str, int, int, int, int]]:
    try:
        if path.is_dir():
            return [entry for inner in path.iterdir() if inner.is_file() for entry in _entries(inner)]
        status = path.stat()
    except OSError:  # not there, or no longer
        return []
    return [(str(path), status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)]
