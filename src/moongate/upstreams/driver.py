"""Performs what upstreams describe: flows, and replies as they arrive, in the time they are given.

A reply has three deadlines: to its first byte, between two bytes, and in total. They cover waiting for the upstream
and nothing else, so that a slow client is never taken for a silent upstream.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from typing import Protocol, TypeVar

from msgspec import Struct

from moongate.core.assemble import Assembler
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Event, Packet, Reading
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.core.turn import Turn
from moongate.dialects.dialect import Decoder
from moongate.upstreams.upstream import Opening, Upstream
from moongate.wire.http import Flow, HttpCall, HttpHead, HttpReply

T = TypeVar("T")

LINGER = 5.0
"""Seconds a reply that has given its reason to stop may take to end: what is to come is not part of the answer."""

REFUSAL_LIMIT = 1024 * 1024
"""Bytes read of a refusal."""


class Incoming(Protocol):
    """A reply whose head has come."""

    head: HttpHead

    async def read(self) -> bytes:
        """The next bytes, as they come; empty at the end. Raises GatewayError (TRUNCATED, UNREACHABLE)."""


class Whole:
    """An `Incoming` all of which has come."""

    def __init__(self, reply: HttpReply) -> None:
        self.head = reply.head
        self._body = reply.body

    async def read(self) -> bytes:
        body, self._body = self._body, b""
        return body


class Transport(Protocol):
    """Both methods raise GatewayError (UNREACHABLE, TRUNCATED)."""

    async def fetch(self, call: HttpCall) -> HttpReply: ...
    def stream(self, call: HttpCall) -> AbstractAsyncContextManager[Incoming]:
        """Leaving the block ends the exchange: an unfinished reply is abandoned at once."""


class Deadlines(Struct, frozen=True):
    """Moments on the loop's clock, and `stall` in seconds."""

    first_byte: float
    stall: float
    end: float


class Spoken(Struct, frozen=True):
    """A reply whose head has come and was no refusal. `streamed`: it comes in frames, not in one piece."""

    opening: Opening
    head: HttpHead
    streamed: bool
    packets: AsyncIterator[Packet]


async def run(flow: Flow[T], transport: Transport) -> T:
    """Carry a flow to its end. A call that fails is the flow's to deal with, where it can. Raises GatewayError."""
    try:
        call = next(flow)
        while True:
            if call.after:
                await asyncio.sleep(call.after)
            try:
                reply = await transport.fetch(call)
            except GatewayError as error:
                call = flow.throw(error)
            else:
                call = flow.send(reply)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        flow.close()


async def prepare(
    upstream: Upstream, turn: Turn, route: Route, credential: Sealed, transport: Transport, deadlines: Deadlines
) -> Opening:
    """All that must precede the reply. Raises GatewayError."""
    async with _by(deadlines):
        return await run(upstream.open(turn, route, credential), transport)


@asynccontextmanager
async def converse(
    opening: Opening,
    transport: Transport,
    deadlines: Deadlines,
    *,
    rewriting: Callable[[Decoder], Decoder] | None = None,
) -> AsyncIterator[Spoken]:
    """Ask, and yield the reply as it arrives. `rewriting`: who reads it in place of the dialect's own decoder.

    Raises GatewayError, here and from the packets.
    """
    async with AsyncExitStack() as held:
        async with _by(deadlines):
            incoming = await held.enter_async_context(_reply(opening, transport))
            head = incoming.head
            if not 200 <= head.status < 300:
                raise opening.explain(head, await _refusal(incoming))
            decoder = opening.decoder(head)
            if rewriting is not None:
                decoder = rewriting(decoder)
        packets = await held.enter_async_context(aclosing(_packets(incoming, decoder, deadlines)))
        yield Spoken(opening, head, head.media_type == "text/event-stream", packets)


def _reply(opening: Opening, transport: Transport) -> AbstractAsyncContextManager[Incoming]:
    return transport.stream(opening.call) if opening.answered is None else nullcontext(Whole(opening.answered))


async def _refusal(incoming: Incoming) -> bytes:
    body = b""
    while len(body) < REFUSAL_LIMIT and (data := await incoming.read()):
        body += data
    return body


async def _packets(incoming: Incoming, decoder: Decoder, deadlines: Deadlines) -> AsyncGenerator[Packet, None]:
    """One packet for each read that held a whole frame; a last one for the end, if the upstream did not tell it."""
    clock = asyncio.get_running_loop().time
    assembler = Assembler()
    deadline, end = deadlines.first_byte, deadlines.end
    silence = "did not begin to answer in time"
    while data := await _read(incoming, deadline, end, silence, assembler):
        silence = "fell silent in the middle of its reply"
        was_complete = assembler.is_complete
        packet, failure = _digest(decoder.feed(data), assembler)
        if packet.raw or packet.events:
            yield packet
        if failure and not assembler.is_complete:
            raise _knowing(failure, assembler)
        if assembler.has_ended:
            return
        if failure:  # nothing of the answer is missing
            break
        deadline = clock() + deadlines.stall
        if assembler.is_complete and not was_complete:
            end = min(end, clock() + LINGER)
    else:
        packet, failure = _digest(decoder.end(), assembler)
        if packet.raw or packet.events:
            yield packet
        if failure and not assembler.is_complete:
            raise _knowing(failure, assembler)
    try:
        closing = tuple(assembler.end())
    except GatewayError as failure:
        raise _knowing(failure, assembler) from None
    if closing:
        yield Packet(b"", closing, is_complete=True)


def _knowing(failure: GatewayError, assembler: Assembler) -> GatewayError:
    """A reply that broke may have told already what it cost."""
    failure.usage = assembler.usage
    return failure


async def _read(incoming: Incoming, deadline: float, end: float, silence: str, assembler: Assembler) -> bytes:
    """The next bytes; empty at the end, and where a reply breaks that has already given its reason to stop."""
    try:
        async with asyncio.timeout_at(min(deadline, end)):
            return await incoming.read()
    except TimeoutError as error:
        failure = GatewayError(Kind.TIMED_OUT, f"the upstream {silence}") if deadline <= end else out_of_time()
        failure.__cause__ = error
    except GatewayError as error:
        failure = error
    if assembler.is_complete:
        return b""
    raise _knowing(failure, assembler)


def _digest(readings: Iterator[Reading], assembler: Assembler) -> tuple[Packet, GatewayError | None]:
    """What one read held, up to where it went wrong: what came before a failure still belongs to the caller."""
    raw: list[bytes] = []
    events: list[Event] = []
    failure = None
    try:
        for reading in readings:
            events += assembler.feed(reading.deltas)
            raw.append(reading.raw)
            if assembler.has_ended:
                break
    except GatewayError as error:
        failure = error
    return Packet(b"".join(raw), tuple(events), assembler.is_complete), failure


@asynccontextmanager
async def _by(deadlines: Deadlines) -> AsyncIterator[None]:
    """Until the first byte must be there."""
    try:
        async with asyncio.timeout_at(min(deadlines.first_byte, deadlines.end)):
            yield
    except TimeoutError as error:
        if deadlines.end < deadlines.first_byte:
            raise out_of_time() from error
        raise GatewayError(Kind.TIMED_OUT, "the upstream did not begin to answer in time") from error


def out_of_time() -> GatewayError:
    """Ours, not the upstream's: it may have been given little of the time, or have been speaking all along."""
    return GatewayError(Kind.OUT_OF_TIME, "the reply did not come to its end in all the time a request may take")
