"""Logins that are kept: one file each, that several processes may read and renew. Implements `pool.holding.GrantStore`.

Who renews a login holds its lock. The lock is the kernel's (flock) and ends with its holder, so none is ever stale; the
file that carries it is empty, lies beside the login's own, and stays.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import filelock
import msgspec
from msgspec import Meta, Struct

from moongate.core.grant import Grant
from moongate.core.sealed import Sealed
from moongate.storage.files import private_folder, write_private
from moongate.storage.seal import Seal

FOLDER, TOKENS = "credentials", "tokens"
ENDING = ".json"

LOCK_WITHIN = 30.0
"""Seconds another may hold the lock before who waits gives up; one renewal takes a second or two."""

LOOK_EVERY = 0.05

Token: TypeAlias = Annotated[str, Meta(min_length=1)]


class Kept(Struct, frozen=True):
    """How it stands in the file. `expires_at` in seconds since 1970, `lifetime` in seconds. `oauth_host`: the base URL
    of who granted it, and who alone can renew it."""

    version: Literal[1]
    upstream: str
    access_token: Token
    refresh_token: Token
    expires_at: float
    lifetime: Annotated[float, Meta(gt=0)]
    device: str
    oauth_host: str


class GrantFile:
    """`oauth_host`: who granted the login; once one has been loaded, who granted that. `lock`: the name of a lock that
    it shares with others, for logins that anybody may bring; else it has its own."""

    def __init__(
        self, path: Path, seal: Seal, *, upstream: str = "kimi-code", oauth_host: str = "", lock: str = ""
    ) -> None:
        self.path = path
        self.upstream = upstream
        self.oauth_host = oauth_host
        self.seal = seal
        self._lock = lock

    @property
    def name(self) -> str:
        return self.path.stem

    def load(self) -> Grant | None:
        """None where there is none. Raises OSError; ValueError, with a sentence for the operator, for what cannot be
        read."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            kept = msgspec.json.decode(self.seal.open(data, self.path), type=Kept)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"{self.path} cannot be read: {error}") from None
        self.upstream, self.oauth_host = kept.upstream, kept.oauth_host
        return Grant(Sealed(kept.access_token), Sealed(kept.refresh_token), kept.expires_at, kept.lifetime, kept.device)

    def save(self, grant: Grant) -> None:
        """Whole or not at all. Raises OSError."""
        kept = Kept(
            version=1,
            upstream=self.upstream,
            access_token=grant.access.reveal(),
            refresh_token=grant.refresh.reveal(),
            expires_at=grant.expires_at,
            lifetime=grant.lifetime,
            device=grant.device,
            oauth_host=self.oauth_host,
        )
        write_private(self.path, self.seal.close(msgspec.json.encode(kept)))

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Nobody else is in such a block, in this process or another. Raises TimeoutError after `LOCK_WITHIN`, OSError
        where there can be no lock."""
        path = self.path.with_name(f".{self._lock or self.name}.lock")
        # Taken in one thread and given back in another; each block has a lock of its own, or they would nest.
        lock = filelock.FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)
        deadline = time.monotonic() + LOCK_WITHIN
        try:
            while not await _taken(lock):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path} was not free within {LOCK_WITHIN:g} seconds")
                await asyncio.sleep(LOOK_EVERY)
            yield
        finally:
            lock.release()


class Seeded:
    """A login that somebody else made: until it was renewed here for the first time, what they gave us is the grant.
    Implements `pool.holding.GrantStore`."""

    def __init__(self, file: GrantFile, seed: Grant, name: str) -> None:
        self._file = file
        self._seed = seed
        self.name = name

    def load(self) -> Grant:
        """Raises OSError, ValueError."""
        return self._file.load() or self._seed

    def save(self, grant: Grant) -> None:
        """Raises OSError."""
        self._file.save(grant)

    def lock(self) -> AbstractAsyncContextManager[None]:
        return self._file.lock()


def file_of_token(home: Path, token: Sealed) -> Path:
    """Where the successors of a token are kept that was configured, or brought: by its digest, as it is all by which it
    will be known again."""
    name = blake2b(token.reveal().encode(errors="surrogateescape"), digest_size=16).hexdigest()
    return home / TOKENS / f"{name}{ENDING}"


def file_of(home: Path, name: str) -> Path:
    return home / FOLDER / f"{name}{ENDING}"


async def _taken(lock: filelock.BaseFileLock) -> bool:
    """Whether it is ours now. Who is cancelled meanwhile still waits for the answer, which is a matter of a moment: a
    lock taken after that would never be given back."""
    attempt = asyncio.ensure_future(asyncio.to_thread(_take, lock))
    try:
        return await asyncio.shield(attempt)
    except asyncio.CancelledError:
        await asyncio.wait([attempt])
        raise


def _take(lock: filelock.BaseFileLock) -> bool:
    private_folder(Path(lock.lock_file).parent)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        return False
    return True
