"""Writes files that are whole or not there, and for the owner's eyes only."""

import os
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path

ABANDONED = 3600.0
"""Seconds after which a half-written file belongs to nobody any more: its process was ended while it wrote."""


def write_private(path: Path, data: bytes) -> None:
    """Whole or not at all, and still there after a power cut; 0600 from the first byte, in folders of 0700 where there
    were none. Writers of one file do not disturb each other: the last one wins. Raises OSError.
    """
    private_folder(path.parent)
    _sweep(path)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    _sync_folder(path.parent)


def private_folder(path: Path) -> None:
    """There afterwards, with those above it; what was there before keeps its mode. Raises OSError."""
    for folder in reversed([path, *path.parents]):
        folder.mkdir(mode=0o700, exist_ok=True)


def _sweep(path: Path) -> None:
    """What was left of this file by writers that were ended in the middle: it may hold secrets."""
    for scratch in path.parent.glob(f".{path.name}.*.new"):
        with suppress(OSError):  # another writer's, and just renamed; or not ours to delete
            if scratch.stat().st_mtime < time.time() - ABANDONED:
                scratch.unlink()


def _sync_folder(path: Path) -> None:
    """A name lasts once its folder does. Windows cannot be asked to."""
    if sys.platform == "win32":
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
