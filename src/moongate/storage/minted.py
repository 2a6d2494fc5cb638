"""A key made at the first start that needs one. It is shown once; only its digest is kept."""

import secrets
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from moongate.policy.keys import digest
from moongate.storage.files import write_private

FILE = "keys.json"


Digest: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]


class MintedKeys(Struct, frozen=True):
    """`salt` and `digests` as they stand in the file, base64 there."""

    salt: Annotated[bytes, Meta(min_length=16, max_length=64)]
    digests: Annotated[tuple[Digest, ...], Meta(min_length=1)]


def minted_keys(home: Path) -> tuple[MintedKeys, str | None]:
    """The keys this home knows; and the key itself, if none was known and one has just been made.

    Raises OSError where the home cannot be read or written, ValueError where the file is not ours.
    """
    path = home / FILE
    if path.exists():
        try:
            return msgspec.json.decode(path.read_bytes(), type=MintedKeys), None
        except msgspec.DecodeError as error:
            raise ValueError(f"{path} cannot be read: {error}; delete it to have a new key made") from error
    key = f"mg-{secrets.token_urlsafe(32)}"
    salt = secrets.token_bytes(32)
    made = MintedKeys(salt, (digest(key, salt),))
    write_private(path, msgspec.json.encode(made))
    return made, key
