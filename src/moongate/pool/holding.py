"""The grant in use, and the store it is kept in: two places that may differ, when somebody else has written the store
or when it cannot be written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol

import structlog

from moongate.core.errors import GatewayError, Kind
from moongate.core.grant import Grant

_log = structlog.get_logger()


class GrantStore(Protocol):
    """Where a login is kept, perhaps for several processes. `load` and `save` are called in threads, one at a time."""

    @property
    def name(self) -> str: ...

    def load(self) -> Grant | None:
        """None where none is kept. Raises OSError; ValueError, with a sentence for the operator, where it cannot be
        read."""

    def save(self, grant: Grant) -> None:
        """Whole or not at all. Raises OSError."""

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Whoever shares the store is kept out. Raises TimeoutError where it is not to be had, OSError where there can
        be none."""


class Holding:
    """`grant`: the one to use, None before it has been looked for and where there is none."""

    def __init__(self, store: GrantStore) -> None:
        self.store = store
        self.grant: Grant | None = None
        self._kept: Grant | None = None  # what the store held when it was last seen
        self._one_at_a_time = asyncio.Lock()  # what is read before somebody saves must not be heeded after it

    @property
    def is_kept(self) -> bool:
        return self.grant is self._kept

    async def look(self) -> bool:
        """Take what the store holds, if that is something else than before; whether it was.

        Raises GatewayError (LOGIN_EXPIRED) where it cannot be read, unless it may still be what it was.
        """
        async with self._one_at_a_time:
            try:
                kept = await asyncio.to_thread(self.store.load)
            except (OSError, ValueError) as error:
                _log.error("login cannot be read", login=self.store.name, reason=str(error))
                if isinstance(error, OSError) and self.grant is not None:
                    return False
                message = f"the login {self.store.name} cannot be read; the gateway's log says why"
                raise GatewayError(Kind.LOGIN_EXPIRED, message) from error
            if kept == self._kept:
                return False
            self.grant = self._kept = kept
            return True

    async def keep(self, grant: Grant) -> None:
        """It is used from now on; where it cannot be kept, until it can be."""
        try:
            async with self._one_at_a_time:
                await asyncio.to_thread(self.store.save, grant)
                self._kept = grant
        except OSError as error:
            _log.error("login cannot be kept", login=self.store.name, reason=str(error))
        finally:  # whatever happens: it is the only one that is good
            self.grant = grant

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """No other process renews it meanwhile, if the store can see to that. Raises GatewayError (TIMED_OUT)."""
        async with AsyncExitStack() as held:
            try:
                await held.enter_async_context(self.store.lock())
            except TimeoutError as error:
                message = f"the login {self.store.name} is being renewed by another process, which takes too long"
                raise GatewayError(Kind.TIMED_OUT, message) from error
            except OSError as error:
                _log.warning("login has no lock", login=self.store.name, reason=str(error))
            yield
