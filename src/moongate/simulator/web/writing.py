"""Writing an answer on a live connection, and into its chat: it goes on when the client has gone, as on the site."""

import asyncio
from collections.abc import Iterable
from typing import Final, assert_never

from aiohttp import web

from moongate.simulator.plan import Cut, Stall, Wait
from moongate.simulator.web.chats import State
from moongate.simulator.web.log import TurnState
from moongate.simulator.web.steps import Close, Land, Step, Tell
from moongate.simulator.web.turns import Begun
from moongate.simulator.witness import Seen

_STATES: Final[dict[State, TurnState]] = {
    "GENERATING": "generating",
    "COMPLETED": "completed",
    "CANCELLED": "cancelled",
    "FAILED": "failed",
}


class Line:
    """The client's side of a chunked answer. What is written once it is over goes nowhere."""

    def __init__(self, request: web.Request, *, chunked: bool, split: int | None) -> None:
        self._request = request
        self._chunked = chunked
        self._split = split
        self.over = asyncio.Event()

    async def send(self, data: bytes) -> None:
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
        size = self._split or len(framed)
        for start in range(0, len(framed), size):
            if start:
                # Two rounds of the loop: a reader on the same loop gets to read in the second.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            if not await self._written(framed[start : start + size]):
                return

    async def abort(self) -> None:
        """Drop the connection, but let what was written go out first."""
        transport = self._request.transport
        while transport is not None and not transport.is_closing():
            if not transport.get_write_buffer_size():
                transport.abort()
                break
            await asyncio.sleep(0.001)
        self.over.set()

    async def _written(self, data: bytes) -> bool:
        transport = self._request.transport
        if self.over.is_set() or transport is None or transport.is_closing():
            return False
        transport.write(data)
        try:
            await self._request.writer.drain()
        except ConnectionError:  # it went while this waited; its handler is told of that
            return False
        return True


async def write(begun: Begun, steps: Iterable[Step], line: Line, seen: Seen) -> None:
    """Take all steps; an answer that is cancelled remains as it was told."""
    try:
        for step in steps:
            await _take(step, begun, line, seen)
        seen.end("refused" if begun.seen.state in ("refused", "failed") else "answered")
    except asyncio.CancelledError:
        _land(begun, Land("CANCELLED"))
        raise


async def _take(step: Step, begun: Begun, line: Line, seen: Seen) -> None:
    match step:
        case Tell(data, thinking, text):
            begun.turn.answer.thinking += thinking
            begun.turn.answer.text += text
            begun.seen.said = begun.turn.answer.text
            await line.send(data)
        case Land():
            _land(begun, step)
        case Wait(seconds):
            await asyncio.sleep(seconds)
        case Stall():
            await line.over.wait()
        case Cut():
            seen.end("cut")
            await line.abort()
        case Close():
            seen.end("cut")
            line.over.set()
        case _:
            assert_never(step)


def _land(begun: Begun, land: Land) -> None:
    answer, turn = begun.turn.answer, begun.turn
    answer.state = land.state
    begun.seen.state = _STATES[land.state]
    if land.exception is not None:
        answer.text, answer.exception = "", land.exception
    elif land.state == "COMPLETED" and turn.said.title:
        turn.chat.name = turn.said.title
