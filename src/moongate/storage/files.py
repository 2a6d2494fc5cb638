"""Writes files that are whole or not there, and for the owner's eyes only."""

import os
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Whole or not at all, 0600 from the first byte. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
