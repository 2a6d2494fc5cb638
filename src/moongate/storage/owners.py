"""The salt of the digests by which callers own what they left here. It stays, or nobody would find theirs again."""

import secrets
from pathlib import Path

import structlog

from moongate.storage.files import write_private

FILE = "owners.salt"
LENGTH = 32

_log = structlog.get_logger()


def owners_salt(home: Path) -> bytes:
    """The home's; one for this run alone where there can be none, which costs a warning. Raises ValueError where the
    file is not ours."""
    path = home / FILE
    try:
        return _read(path)
    except FileNotFoundError:
        salt = secrets.token_bytes(LENGTH)
    except OSError as error:
        _log.warning("owners are not known again after a restart", path=str(path), reason=error.strerror)
        return secrets.token_bytes(LENGTH)
    try:
        write_private(path, salt)
        return _read(path)  # another process may have been quicker
    except OSError as error:
        _log.warning("owners are not known again after a restart", path=str(path), reason=error.strerror)
        return salt


def _read(path: Path) -> bytes:
    salt = path.read_bytes()
    if len(salt) != LENGTH:
        raise ValueError(f"{path} cannot be read: it is not what was written there; without it conversations are lost")
    return salt
