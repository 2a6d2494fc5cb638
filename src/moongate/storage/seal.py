"""Secrets at rest: closed with a key made from the operator's MOONGATE_SECRET, or as they are where there is none.

What is closed is a JSON object with a Fernet token in it, and beside it what is needed, besides the secret, to make the
key again. So any file can be opened by itself, on any machine.
"""

import base64
import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from msgspec import Meta, Struct

from moongate.core.sealed import Sealed

SALT_SIZE = 16

Salt: TypeAlias = Annotated[bytes, Meta(min_length=SALT_SIZE, max_length=64)]


class Cost(Struct, frozen=True):
    """What making a key costs, as scrypt counts it. The usual: 32 MiB and a quarter of a second for each guess, as the
    OWASP password storage cheat sheet has it. Bounded, so that a file cannot ask for all memory there is.
    """

    n: Annotated[int, Meta(ge=2, le=2**17)] = 2**15
    r: Annotated[int, Meta(ge=1, le=16)] = 8
    p: Annotated[int, Meta(ge=1, le=16)] = 3


USUAL = Cost()


class Closed(Struct, frozen=True):
    """How it stands in the file. `by` names the way, should there be another one day."""

    by: Literal["scrypt-fernet"]
    cost: Cost
    salt: Salt
    data: str


_read = msgspec.json.Decoder(Closed).decode


class Seal:
    """Keys that were made are kept: one for all that this seal closes, one more for each salt found in a file."""

    def __init__(self, secret: Sealed | None, cost: Cost = USUAL) -> None:
        self._secret = secret
        self._cost = cost
        self._salt = os.urandom(SALT_SIZE)
        self._key = lru_cache(maxsize=64)(self._made)

    @property
    def is_on(self) -> bool:
        return self._secret is not None

    def close(self, data: bytes) -> bytes:
        """The first call takes a while (see `Cost`)."""
        if self._secret is None:
            return data
        closed = self._key(self._salt, self._cost).encrypt(data)
        return msgspec.json.encode(Closed("scrypt-fernet", self._cost, self._salt, closed.decode("ascii")))

    def open(self, data: bytes, path: Path) -> bytes:
        """What was closed, or `data` itself if it is not. `path` is only told.

        Raises ValueError with a sentence for the operator where it was closed with another secret.
        """
        try:
            closed = _read(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return data  # not closed, or not ours; who asked will see
        if self._secret is None:
            raise ValueError(f"{path} is sealed: set MOONGATE_SECRET to the text it was sealed with")
        try:
            return self._key(closed.salt, closed.cost).decrypt(closed.data.encode())
        except (InvalidToken, ValueError):
            message = f"{path} is damaged, or sealed with another MOONGATE_SECRET than the one that is set"
            raise ValueError(message) from None

    def _made(self, salt: bytes, cost: Cost) -> Fernet:
        """Raises ValueError for a cost that is none."""
        secret = self._secret.reveal() if self._secret else ""
        key = Scrypt(salt, 32, cost.n, cost.r, cost.p).derive(secret.encode())
        return Fernet(base64.urlsafe_b64encode(key))
