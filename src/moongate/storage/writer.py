"""Writes changes to the database behind the requests, in order, and as long as it takes."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

import structlog
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from moongate.conversations.record import Change
from moongate.core.redact import redact
from moongate.storage.outbox import BATCH_MOST, Outbox

_log = structlog.get_logger()

FAILURES = (SQLAlchemyError, OSError, TimeoutError)
"""What passes: the database is away, the disk is full."""


class Repository(Protocol):
    """`apply`: all or none of the changes; applied again, from any of them on, they come to the same. Raises one of
    `FAILURES`."""

    async def apply(self, changes: Sequence[Change]) -> None: ...


class Pace(Struct, frozen=True):
    """In seconds: `soonest` and `latest` are the pauses after the first and after many failures in a row, `sync` is
    what a power cut may cost, `quiet` how long the same kind of failure is not told again."""

    soonest: float = 0.5
    latest: float = 30.0
    sync: float = 1.0
    quiet: float = 60.0


USUAL = Pace()


class Writer:
    """Lives on one event loop. The outbox stays its owner's to close, after `close`."""

    def __init__(self, outbox: Outbox, repository: Repository, pace: Pace = USUAL) -> None:
        self._outbox = outbox
        self._repository = repository
        self._pace = pace
        self._held: deque[Change] = deque()  # what the outbox could not take
        self._is_passing = False
        self._news = asyncio.Event()
        self._news.set()  # an earlier process may have left some
        self._draining = asyncio.Lock()
        self._told: dict[str, float] = {}

    @property
    def backlog(self) -> int:
        """How many changes the database does not have."""
        return self._outbox.backlog + len(self._held)

    def record(self, change: Change) -> None:
        """On disk when this returns; or held in memory where the disk cannot be written, which is told in the log."""
        self._held.append(change)
        self._offer()
        self._news.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_synced())
            pause = self._pace.soonest
            while True:
                await self._news.wait()
                self._news.clear()
                if await self._attempt():
                    pause = self._pace.soonest
                else:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, self._pace.latest)
                    self._news.set()

    async def close(self, within: float) -> int:
        """Write what there is, for so many seconds at most; the rest waits in the outbox for the next process. How much
        that is. `run` may go on meanwhile, or have ended."""
        try:
            async with asyncio.timeout(within):
                while not await self._attempt() or self.backlog:  # noqa: ASYNC110 - nobody tells when it is back
                    await asyncio.sleep(self._pace.soonest)
        except TimeoutError:
            _log.warning("changes left for the next start", changes=self._outbox.backlog, lost=len(self._held))
        await self._sync()
        return self.backlog

    async def _attempt(self) -> bool:
        """Whether the database has all that there was to write."""
        try:
            async with self._draining:
                while await self._write_some():
                    pass
        except FAILURES as error:
            self._tell("changes wait for the database", error)
            return False
        return not self._held

    async def _write_some(self) -> bool:
        """Whether there was anything to write."""
        self._offer()
        batch = await asyncio.to_thread(self._outbox.batch)
        if not batch:
            return await self._write_held()
        await self._repository.apply([change for _, change in batch])
        await asyncio.to_thread(self._outbox.acknowledge, batch[-1][0])
        return True

    async def _write_held(self) -> bool:
        """Past the outbox, which has nothing that would have to go before, and gets nothing meanwhile."""
        held = tuple(islice(self._held, BATCH_MOST))
        if not held or self._outbox.backlog:
            return False
        self._is_passing = True
        try:
            await self._repository.apply(held)
            for _ in held:
                self._held.popleft()
        finally:
            self._is_passing = False
        return True

    def _offer(self) -> None:
        """To the outbox what it could not take before."""
        try:
            while self._held and not self._is_passing:
                self._outbox.append(self._held[0])
                self._held.popleft()
        except OSError as error:
            self._tell("outbox cannot be written", error)

    async def _keep_synced(self) -> None:
        while True:
            await asyncio.sleep(self._pace.sync)
            await self._sync()

    async def _sync(self) -> None:
        if self._outbox.is_synced:
            return
        try:
            await asyncio.to_thread(self._outbox.sync)
        except OSError as error:
            self._tell("outbox cannot be synced", error)

    def _tell(self, what: str, error: Exception) -> None:
        """Each kind once in a while: it may go on for hours."""
        now, kind = time.monotonic(), f"{what} {type(error).__name__}"
        if now - self._told.get(kind, -self._pace.quiet) < self._pace.quiet:
            return
        self._told[kind] = now
        reason = redact(next(iter(str(error).splitlines()), "")) or type(error).__name__
        _log.error(what, kind=type(error).__name__, reason=reason, changes=self.backlog)
