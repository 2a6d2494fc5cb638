"""All conversations there are: in memory, each in the hands of one request at a time, and written behind.

What is here is what counts. Every change is handed on to be recorded before the caller is told of it; nobody waits for
it to reach a database. A conversation nobody has used for a while ends, and so does the one not used for longest where
there are too many.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from msgspec import Struct

from moongate.conversations.match import place
from moongate.conversations.normal import Line, line
from moongate.conversations.record import Advanced, Change, Key, Removed, Said, Stored
from moongate.conversations.thread import Thread
from moongate.core.errors import GatewayError, Kind
from moongate.core.prompt import Message
from moongate.core.reply import Reply
from moongate.core.request import ChatRequest
from moongate.core.turn import Anchor, Turn
from moongate.dialects.dialect import Server

MOST_WAITING = 100
"""Requests that may wait for one conversation: each holds its body in memory."""


class Terms(Struct, frozen=True):
    """How long a conversation lives when nobody uses it, in seconds; how many there may be; how large one may become,
    and all of them together, in bytes. `patience` and `loading`: seconds a request waits for its turn, and after a
    start for what was kept to be read."""

    idle: float = 3600.0
    most: int = 1000
    largest: int = 20 * 1024 * 1024
    total: int = 256 * 1024 * 1024
    patience: float = 600.0
    loading: float = 10.0


class Placement:
    """A request in its conversation, for as long as it is its turn."""

    def __init__(self, turn: Turn, advance: Callable[[Reply, str, str], None]) -> None:
        self.turn = turn
        self.advance = advance
        """To be called with the reply, and the account and the upstream it came from, before the caller has all of
        it."""


class Conversations:
    """`servers`: by dialect, who reads what was said in it. `record` is to keep a change, and may be exchanged;
    `forget` is told of a chat that nobody will continue. `clock` is in seconds since 1970."""

    def __init__(
        self,
        servers: Mapping[str, Server],
        terms: Terms,
        record: Callable[[Change], None] = lambda _: None,
        forget: Callable[[Anchor], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.terms = terms
        self._servers = servers
        self.record = record
        self._forget = forget
        self._clock = clock
        self._threads: OrderedDict[Key, Thread] = OrderedDict()  # the one not used for longest first
        self._size = 0
        self._kept = 0
        self._loaded = asyncio.Event()

    def __len__(self) -> int:
        return self._kept

    @property
    def size(self) -> int:
        """Bytes of all that was said."""
        return self._size

    def load(self, stored: Iterable[Stored], changes: Iterable[Change] = ()) -> None:
        """What was kept, and then what happened since; from now on there is somebody to answer from it."""
        for one in sorted(stored, key=lambda one: one.used_at):
            self._threads[one.key] = Thread.of(one)
        for change in changes:
            self._apply(change)
        self._size = sum(thread.size for thread in self._threads.values())
        self._kept = len(self._threads)
        self._loaded.set()
        self.sweep()

    async def find(self, key: Key) -> Thread:
        """Raises GatewayError: UNKNOWN_CONVERSATION, or HISTORY_AWAY while what was kept cannot be read."""
        await self._have_loaded()
        thread = self._threads.get(key)
        if thread is None or not thread.said or self._has_expired(thread):
            raise GatewayError(Kind.UNKNOWN_CONVERSATION, "there is no such conversation")
        return thread

    async def messages(self, key: Key) -> tuple[Message, ...]:
        """All that was said in it, the oldest first. Raises GatewayError as `find` does."""
        thread = await self.find(key)
        return tuple(self._servers[said.dialect].read(said.body) for said in thread.said)

    async def remove(self, key: Key) -> None:
        """Raises GatewayError as `find` does."""
        self._end(await self.find(key))

    def sweep(self) -> None:
        """End those that have lived long enough, and those for which there is no room. What has only been begun takes
        none: nobody's conversation ends for a request that comes to nothing."""
        if self._has_room and (not self._threads or not self._has_expired(next(iter(self._threads.values())))):
            return
        for thread in tuple(self._threads.values()):
            if self._has_room and not self._has_expired(thread):
                break
            if not thread.waiting:
                self._end(thread)

    @property
    def _has_room(self) -> bool:
        return self._kept <= self.terms.most and self._size <= self.terms.total

    @asynccontextmanager
    async def turn(self, key: Key, server: Server, ask: ChatRequest) -> AsyncIterator[Placement]:
        """The request with all that was said before, once it is its turn.

        Raises GatewayError: HISTORY_AWAY; INVALID_REQUEST for what cannot be part of a conversation; TOO_LARGE.
        """
        if ask.choices > 1:
            raise GatewayError(Kind.INVALID_REQUEST, "n: a conversation goes on from one answer", param="n")
        await self._have_loaded()
        async with self._held(key) as thread:
            yield self._placed(thread, server, ask)

    @asynccontextmanager
    async def _held(self, key: Key) -> AsyncIterator[Thread]:
        """The conversation, which nobody else may change. Raises GatewayError (CONVERSATION_BUSY)."""
        patience = asyncio.get_running_loop().time() + self.terms.patience
        while True:
            async with self._in_turn(key, patience) as thread:
                if not thread.has_ended:  # else it was deleted while this waited, and another has begun
                    yield thread
                    return

    @asynccontextmanager
    async def _in_turn(self, key: Key, patience: float) -> AsyncIterator[Thread]:
        thread = self._thread(key)
        if thread.waiting > MOST_WAITING:
            raise _busy(f"{MOST_WAITING} requests wait for this conversation already")
        thread.waiting += 1
        try:
            try:
                async with asyncio.timeout_at(patience):
                    await thread.turn.acquire()
            except TimeoutError as error:
                raise _busy("another request on this conversation took too long") from error
            try:
                yield thread
            finally:
                self._settle(thread)
                thread.turn.release()
        finally:
            thread.waiting -= 1
            self._put_back(thread)

    def _settle(self, thread: Thread) -> None:
        """A turn that came to nothing may have left anything where it was to be remembered."""
        if thread.spent is not None:
            self._forget(thread.spent)
            thread.spent = None

    def _put_back(self, thread: Thread) -> None:
        """It was used until now; one of which nothing came was none."""
        if thread.has_ended:
            return
        if thread.said:
            self._use(thread, self._clock())
        elif not thread.waiting:
            thread.has_ended = True
            del self._threads[thread.key]

    def _placed(self, thread: Thread, server: Server, ask: ChatRequest) -> Placement:
        asked = [Said(server.dialect, body) for body in server.turns(ask)]
        placed = place(thread.lines(self._line), [self._line(said) for said in asked])
        history = [*asked[: placed.lead], *thread.said[placed.skip : placed.kept], *asked[placed.fresh :]]
        size = sum(len(said.body) for said in history)
        if size > self.terms.largest:
            message = f"the conversation has grown to {size} bytes, and at most {self.terms.largest} are kept"
            raise GatewayError(Kind.TOO_LARGE, message)
        whole = server.with_turns(ask, [said.body for said in history])
        anchor = thread.anchor
        if anchor is not None and not (placed.keeps_beginning and anchor.covers <= placed.kept):
            anchor = None
        if anchor is not None and not anchor.message:  # it goes on from its last message, and so only once
            thread.spent, thread.anchor = anchor, None
        kept = placed.kept if placed.keeps_beginning else 0
        advance = partial(self._advance, thread, server, kept, history[kept:], anchor)
        return Placement(Turn(whole, partial(server.prompt, whole), anchor, is_kept=True), advance)

    def _advance(
        self,
        thread: Thread,
        server: Server,
        kept: int,
        fresh: list[Said],
        anchor: Anchor | None,
        reply: Reply,
        account: str,
        upstream: str,
    ) -> None:
        if thread.has_ended:  # deleted meanwhile
            if reply.anchor is not None:
                self._forget(Anchor(upstream, account, reply.anchor.chat, reply.anchor.message, 0))
            return
        said = (*fresh, Said(server.dialect, server.turn_of(reply)))
        now = self._clock()
        before = thread.size
        self._kept += not thread.said
        thread.become(kept, said)
        self._size += thread.size - before
        left, thread.anchor = thread.anchor or thread.spent, anchor if anchor is not None and anchor.message else None
        thread.spent = None
        if reply.anchor is not None:
            there = reply.anchor
            thread.anchor = Anchor(upstream, account, there.chat, there.message, covers=len(thread.said))
        if left is not None and (thread.anchor is None or left.chat != thread.anchor.chat):
            self._forget(left)
        self._use(thread, now)
        self.record(Advanced(thread.key, now, kept, said, _lasting(thread.anchor)))
        self.sweep()

    def _thread(self, key: Key) -> Thread:
        now = self._clock()
        thread = self._threads.get(key)
        if thread is not None and self._has_expired(thread):
            self._end(thread)
            thread = None
        if thread is None:
            thread = Thread(key, now)
        self._use(thread, now)
        return thread

    def _use(self, thread: Thread, now: float) -> None:
        thread.used_at = now
        self._threads[thread.key] = thread
        self._threads.move_to_end(thread.key)

    def _has_expired(self, thread: Thread) -> bool:
        return not thread.waiting and self._clock() - thread.used_at > self.terms.idle

    def _end(self, thread: Thread) -> None:
        thread.has_ended = True
        del self._threads[thread.key]
        self._size -= thread.size
        if thread.anchor is not None:
            self._forget(thread.anchor)
        if thread.said:
            self._kept -= 1
            self.record(Removed(thread.key, self._clock()))

    def _apply(self, change: Change) -> None:
        """As it was recorded; at a start, when nobody is served yet."""
        match change:
            case Advanced(key, at, kept, said, anchor):
                thread = self._threads.get(key) or Thread(key, at)
                thread.become(kept, said)
                thread.anchor = anchor
                self._use(thread, at)
            case Removed(key):
                self._threads.pop(key, None)

    async def _have_loaded(self) -> None:
        try:
            async with asyncio.timeout(self.terms.loading):
                await self._loaded.wait()
        except TimeoutError as error:
            message = "conversations cannot be read yet: the database where they are kept does not answer"
            raise GatewayError(Kind.HISTORY_AWAY, message, retry_after=self.terms.loading) from error

    def _line(self, said: Said) -> Line:
        return line(self._servers[said.dialect].read(said.body))


def _busy(message: str) -> GatewayError:
    return GatewayError(Kind.CONVERSATION_BUSY, message, retry_after=1)


def _lasting(anchor: Anchor | None) -> Anchor | None:
    """What still holds after a restart: a chat that only goes on from its last message may have gone on meanwhile."""
    return anchor if anchor is not None and anchor.message else None
