"""The line to a caller while its request is worked on: it may go dead, and it must not seem to.

One task watches each line. When the caller hangs up, the block it guards is cancelled, so that every scope inside
unwinds and the upstream is let go at once. When nothing was written for a while, it sends what keeps proxies and
clients from taking silence for death.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType

from starlette.types import Receive, Send

STUCK = 120.0
"""Seconds a caller may leave our bytes unread before it counts as gone."""


class HungUp(Exception):  # noqa: N818 - it is news, not an error
    """The caller is gone."""


Beat = Callable[[], Awaitable[None]]
"""Breaks the silence, if there is a way to."""


class Line:
    """`async with` it around the work; leaving the block raises HungUp if the caller left first."""

    def __init__(self, receive: Receive, send: Send, heartbeat: float | None, beat: Beat, stuck: float = STUCK) -> None:
        self._receive = receive
        self._send = send
        self._heartbeat = heartbeat
        self._beat = beat
        self._stuck = stuck
        self._clock = asyncio.get_running_loop().time
        self._spoke = self._clock()
        self._turn = asyncio.Lock()  # the work and its watcher both speak; what is begun first is sent first
        self._writing = False
        self._finished = False
        self._guard = asyncio.timeout(None)
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Line":
        await self._guard.__aenter__()
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finished = True
        if self._watcher is not None:
            self._watcher.cancel()
        try:
            await self._guard.__aexit__(kind, error, trace)
        except TimeoutError:
            raise HungUp from None

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        async with self._turn:
            await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        self._writing = True
        async with self._turn:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._writing = False
        self._spoke = self._clock()

    async def finish(self, data: bytes = b"") -> None:
        """The last bytes. From here on it is no hang-up when the caller goes."""
        self._finished = True
        async with self._turn:
            await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def _watch(self) -> None:
        pause = self._stuck if self._heartbeat is None else min(self._heartbeat, self._stuck)
        while not self._finished:
            due = self._spoke + pause
            if due <= self._clock():  # our last words are still on their way
                due = self._clock() + pause
            try:
                async with asyncio.timeout_at(due):
                    message = await self._receive()
            except TimeoutError:
                await self._tick()
            else:
                if message["type"] == "http.disconnect":
                    self._hang_up()

    async def _tick(self) -> None:
        silence = self._clock() - self._spoke
        if self._writing and silence >= self._stuck:
            self._hang_up()
        elif not self._writing and self._heartbeat is not None and silence >= self._heartbeat:
            await self._beat()
            self._spoke = self._clock()

    def _hang_up(self) -> None:
        if not self._finished:
            self._finished = True
            self._guard.reschedule(self._clock())
