"""Stand-ins for what surrounds the reading of a reply: an upstream that plays a script, a clock nobody waits for."""

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

from moongate.core.errors import GatewayError
from moongate.core.events import BlockDelta, BlockEnded, BlockStarted, Ended, Event, Packet, Started
from moongate.core.reply import Fold, Reply
from moongate.core.request import ChatRequest, Origin
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.core.turn import Turn
from moongate.dialects.openai_chat.server import OpenAIChat
from moongate.upstreams.driver import Deadlines, Spoken, converse, prepare
from moongate.upstreams.moonshot import moonshot
from moongate.upstreams.upstream import Upstream
from moongate.wire.http import HttpCall, HttpHead, HttpReply

T = TypeVar("T")

Step: TypeAlias = bytes | Exception | float
"""What an upstream does next: send bytes, break, or be silent for so many seconds."""

STREAM = {"content-type": "text/event-stream; charset=utf-8"}
JSON = {"content-type": "application/json"}
FOREVER = 1e6


class Played:
    """A reply whose head has come and whose body is a script."""

    def __init__(self, *steps: Step, status: int = 200, headers: Mapping[str, str] = STREAM, late: float = 0) -> None:
        self.head = HttpHead(status, headers)
        self.late = late
        self._steps = list(steps)

    async def read(self) -> bytes:
        while self._steps:
            step = self._steps.pop(0)
            if isinstance(step, Exception):
                raise step
            if isinstance(step, bytes):
                return step
            await asyncio.sleep(step)
        return b""


class Stage:
    """A transport that gives one reply after the other and remembers what it was asked."""

    def __init__(self, *replies: Played | GatewayError) -> None:
        self.calls: list[HttpCall] = []
        self.open = self.most_open = 0
        self._replies = list(replies)

    async def fetch(self, call: HttpCall) -> HttpReply:
        async with self.stream(call) as incoming:
            parts = []
            while data := await incoming.read():
                parts.append(data)
            return HttpReply(incoming.head, b"".join(parts))

    @asynccontextmanager
    async def stream(self, call: HttpCall) -> AsyncIterator[Played]:
        self.calls.append(call)
        reply = self._replies.pop(0)
        if isinstance(reply, GatewayError):
            raise reply
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(reply.late)
            yield reply
        finally:
            self.open -= 1


def asked(
    body: bytes = b'{"model":"kimi-k3","messages":[{"role":"user","content":"hi"}]}', **fields: Any
) -> ChatRequest:
    given = {"model": "kimi-k3", "stream": True, "include_usage": True, "params": "adapt", **fields}
    return ChatRequest(id="r1", received=1.0, origin=Origin("openai.chat", body), **given)


def turned(ask: ChatRequest) -> Turn:
    """The request as a turn of no conversation."""
    return Turn(ask, partial(OpenAIChat().prompt, ask))


PLATFORM: Upstream = moonshot("https://platform.example/v1", "moongate/test")
ROUTE = Route("moonshot", "kimi-k3")
CREDENTIAL = Sealed("sk-example-of-the-operator")


@asynccontextmanager
async def conversed(turn: Turn, stage: "Stage", deadlines: Deadlines) -> AsyncIterator[Spoken]:
    """The platform asked, and its reply as it arrives."""
    opening = await prepare(PLATFORM, turn, ROUTE, CREDENTIAL, stage, deadlines)
    async with converse(opening, stage, deadlines) as spoken:
        yield spoken


async def packets_of(
    incoming: Played, *, first_byte: float = FOREVER, stall: float = FOREVER, total: float = FOREVER, choices: int = 1
) -> AsyncIterator[Packet]:
    """The packets the driver makes of a reply; times in seconds from now."""
    now = asyncio.get_running_loop().time()
    deadlines = Deadlines(now + first_byte, stall, now + total)
    async with conversed(turned(asked(choices=choices)), Stage(incoming), deadlines) as spoken:
        async for packet in spoken.packets:
            yield packet


class Heard:
    """What came of a reply: the packets, and either the whole of it or the error it ended in."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.failure: GatewayError | None = None

    @property
    def raw(self) -> bytes:
        return b"".join(packet.raw for packet in self.packets)

    @property
    def events(self) -> list[Event]:
        return [event for packet in self.packets for event in packet.events]

    @property
    def reply(self) -> Reply:
        fold = Fold()
        for packet in self.packets:
            fold.add(packet)
        return fold.whole()


async def hear(incoming: Played, *, choices: int = 1, **deadlines: float) -> Heard:
    heard = Heard()
    try:
        async for packet in packets_of(incoming, choices=choices, **deadlines):
            heard.packets.append(packet)
    except GatewayError as error:
        heard.failure = error
    return heard


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    """`body` in pieces, cut at `places`."""
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[a:b] for a, b in pairwise(edges) if a < b]


def chunkings(body: bytes) -> Iterator[list[bytes]]:
    """Whole, a byte at a time, and in two at every place."""
    yield [body]
    yield [body[i : i + 1] for i in range(len(body))]
    for place in range(1, len(body)):
        yield [body[:place], body[place:]]


def assert_grammatical(events: Sequence[Event]) -> None:
    """Started (BlockStarted BlockDelta* BlockEnded)* Ended, blocks numbered from 0, each of one kind."""
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Ended)
    open_block: BlockStarted | None = None
    count = 0
    for event in events[1:-1]:
        match event:
            case BlockStarted(index):
                assert open_block is None
                assert index == count
                open_block, count = event, count + 1
            case BlockDelta(index, kind) | BlockEnded(index, kind):
                assert open_block is not None
                assert (index, kind) == (open_block.index, open_block.kind)
                if isinstance(event, BlockEnded):
                    open_block = None
            case _:
                raise AssertionError(f"{event} in the middle")
    assert open_block is None


class _Leaping(selectors.DefaultSelector):
    leap: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if ready := super().select(0):
            return ready
        self.leap(timeout)
        return []


class PatientLoop(asyncio.SelectorEventLoop):
    """A loop whose clock leaps to whatever is due next, so that hours pass in no time and to the millisecond."""

    def __init__(self) -> None:
        self._now = 0.0
        selector = _Leaping()
        selector.leap = self._leap
        super().__init__(selector)

    def _leap(self, seconds: float) -> None:
        self._now += seconds

    def time(self) -> float:
        return self._now


def patiently(work: Coroutine[object, object, T]) -> tuple[T, float]:
    """What `work` came to, and the seconds that passed on its clock."""
    with asyncio.Runner(loop_factory=PatientLoop) as runner:
        return runner.run(work), runner.get_loop().time()
