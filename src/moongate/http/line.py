"""The line to a caller while its request is worked on: it may go dead, and it must not seem to.

One task watches each line. When the caller hangs up, or stops reading, the block it guards is cancelled, so that every
scope inside unwinds and the upstream is let go at once. When nothing was written for a while, it sends what keeps
proxies and clients from taking silence for death.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType

from starlette.types import Message, Receive, Send

STUCK = 120.0
"""Seconds a caller may leave our bytes unread before it counts as gone."""


class HungUp(Exception):  # noqa: N818 - it is news, not an error
    """The caller is gone."""


Beat = Callable[[], Awaitable[None]]
"""Breaks the silence, if there is a way to."""


class Line:
    """`async with` it around the work. Leaving the block raises HungUp if the caller left before the last byte, and
    whatever the watcher itself met with."""

    def __init__(self, receive: Receive, send: Send, heartbeat: float | None, beat: Beat, stuck: float = STUCK) -> None:
        self._receive = receive
        self._send = send
        self._heartbeat = heartbeat
        self._beat = beat
        self._stuck = stuck
        self._clock = asyncio.get_running_loop().time
        self._turn = asyncio.Lock()  # the work and its watcher both speak; what is begun first is sent first
        self._sending_since: float | None = None
        self._spoke = self._clock()
        self._is_done = False
        self._is_left = False
        self._guard = asyncio.timeout(None)
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Line":
        await self._guard.__aenter__()
        self._watcher = asyncio.create_task(self._watch())
        self._watcher.add_done_callback(self._watched)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_left = True
        watcher = self._watcher
        failure = watcher.exception() if watcher and watcher.done() and not watcher.cancelled() else None
        if watcher is not None:
            watcher.cancel()
        try:
            await self._guard.__aexit__(kind, error, trace)
        except TimeoutError:
            raise failure or HungUp from None

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        await self._say({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        await self._say({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        """The last bytes. Once they are sent it is no hang-up when the caller goes."""
        await self._say({"type": "http.response.body", "body": data, "more_body": False})
        self._is_done = True

    async def _say(self, message: Message) -> None:
        async with self._turn:
            self._sending_since = self._clock()
            try:
                await self._send(message)
            finally:
                self._sending_since = None
                self._spoke = self._clock()

    async def _watch(self) -> None:
        pause = self._stuck if self._heartbeat is None else min(self._heartbeat, self._stuck)
        while True:
            since = self._sending_since
            due = self._spoke + pause if since is None else since + self._stuck
            try:
                async with asyncio.timeout_at(max(due, self._clock() + 0.001)):
                    message = await self._receive()
            except TimeoutError:
                if not await self._tick():
                    self._let_go()
                    return
            else:
                if message["type"] == "http.disconnect":
                    self._let_go()
                    return

    async def _tick(self) -> bool:
        """Whether the caller still seems to be there."""
        now = self._clock()
        if self._sending_since is not None:
            return now - self._sending_since < self._stuck
        if self._heartbeat is not None and not self._is_done and now - self._spoke >= self._heartbeat:
            try:
                async with asyncio.timeout(self._stuck):
                    await self._beat()
            except TimeoutError:
                return False
        self._spoke = max(self._spoke, now)  # there may be nothing to say; then the next time is as far away
        return True

    def _watched(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled() and watcher.exception() is not None:
            self._let_go()

    def _let_go(self) -> None:
        if not self._is_done and not self._is_left:
            self._guard.reschedule(self._clock())
