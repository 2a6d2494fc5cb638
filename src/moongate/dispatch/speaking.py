"""Replies that are held back: up to the first word, so that a failed attempt leaves no trace in the answer, or to the
last, so that even a late failure does not."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence

from moongate.core.errors import GatewayError
from moongate.core.events import BlockDelta, BlockStarted, Ended, Event, Packet
from moongate.core.tally import Tally

HELD_LIMIT = 256 * 1024 * 1024
"""Bytes of a reply that is held back to its end."""


class Speaking:
    """A reply that has begun: it will be delivered to the caller or fail in front of them. First come the packets that
    were held back, then those of `rest`, which the tally has not seen yet. `pace`: seconds between two pieces of one
    that came all at once and is to be heard as if it were spoken."""

    def __init__(
        self,
        dialect: str,
        tally: Tally,
        *,
        streamed: bool,
        held: Sequence[Packet],
        rest: AsyncIterator[Packet] | None = None,
        pace: float = 0.0,
    ) -> None:
        self.dialect = dialect
        self.tally = tally
        self.streamed = streamed
        self._held = iter(held)
        self._rest = rest
        self._pace = pace
        self._pieces: deque[Packet] = deque()

    def __aiter__(self) -> "Speaking":
        return self

    async def __anext__(self) -> Packet:
        if not self._pace:
            return await self._next()
        if self._pieces:
            await asyncio.sleep(self._pace)
        else:
            self._pieces.extend(_pieces(await self._next()))
        return self._pieces.popleft()

    async def _next(self) -> Packet:
        for packet in self._held:
            return packet
        if self._rest is None:
            raise StopAsyncIteration
        packet = await anext(self._rest)
        self.tally.watch(packet)
        return packet


def _pieces(packet: Packet) -> Iterator[Packet]:
    """Each piece of what is said apart, with what comes before it; the last has what comes after, too."""
    events: list[Event] = []
    for event in packet.events:
        if events and isinstance(event, BlockDelta) and isinstance(events[-1], BlockDelta):
            yield Packet(b"", tuple(events))
            events = []
        events.append(event)
    yield Packet(packet.raw, tuple(events))


async def until_first_word(packets: AsyncIterator[Packet], tally: Tally) -> list[Packet]:
    """The first word, not the first byte: upstreams greet first and refuse afterwards, under the same HTTP 200."""
    held = []
    async for packet in packets:
        held.append(packet)
        tally.watch(packet)
        if any(isinstance(event, BlockStarted | Ended) for event in packet.events):
            break
    return held


async def until_the_end(packets: AsyncIterator[Packet], tally: Tally) -> list[Packet]:
    """Raises GatewayError (PROTOCOL) for a reply that is too large to be held."""
    held, size = [], 0
    async for packet in packets:
        held.append(packet)
        tally.watch(packet)
        size += len(packet.raw)
        if size > HELD_LIMIT:
            raise GatewayError.protocol(f"the reply is larger than {HELD_LIMIT} bytes, and was to be held back whole")
    return held
