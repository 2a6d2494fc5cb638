"""Performing an answer on a live connection: the only place that writes, waits, stalls and aborts."""

import asyncio
from typing import Final, assert_never

from aiohttp import HttpVersion11, web

from moongate.simulator.answer import Answer
from moongate.simulator.plan import Cut, Send, Settle, Stall, Wait
from moongate.simulator.witness import Seen

_BODILESS: Final = frozenset((204, 304))


class _Body:
    """The body of a response, written past aiohttp so that one write here is one write to the socket."""

    def __init__(self, request: web.Request, *, mute: bool, chunked: bool, split: int | None) -> None:
        self._request = request
        self._mute = mute
        self._chunked = chunked
        self._split = split

    async def send(self, data: bytes) -> None:
        """Raises ConnectionResetError when the client has gone."""
        if self._mute or not data:
            return
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
        size = self._split or len(framed)
        for start in range(0, len(framed), size):
            if start:
                # Two rounds of the loop: a reader on the same loop gets to read in the second.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            await self._write(framed[start : start + size])

    async def _write(self, data: bytes) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        transport.write(data)
        await self._request.writer.drain()

    async def abort(self) -> None:
        """Drop the connection, but let what was written go out first."""
        transport = self._request.transport
        while transport is not None and not transport.is_closing():
            if not transport.get_write_buffer_size():
                transport.abort()
                return
            await asyncio.sleep(0.001)


async def perform(request: web.Request, answer: Answer, seen: Seen) -> web.StreamResponse:
    """Raises ConnectionResetError or CancelledError when the client goes before the answer is out."""
    script = answer.script
    seen.told(answer.usage, 0.0)
    if script.silent_before_headers:
        await asyncio.sleep(script.silent_before_headers)
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    chunked = answer.length is None and request.version >= HttpVersion11
    mute = request.method == "HEAD" or answer.status in _BODILESS
    body = _Body(request, mute=mute, chunked=chunked, split=script.split)
    if script.drop_before_headers:
        seen.end("cut")
        await body.abort()
        return response
    response.content_length = answer.length
    if chunked:
        response.enable_chunked_encoding()
    await response.prepare(request)
    seen.status = answer.status
    await _take_steps(answer, body, seen)
    return response


async def _take_steps(answer: Answer, body: _Body, seen: Seen) -> None:
    for step in answer.steps:
        match step:
            case Send(data, share):
                await body.send(data)
                if share is not None:
                    seen.told(answer.usage, share)
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Stall():
                await asyncio.Event().wait()
            case Settle(outcome):
                seen.end(outcome)
            case Cut():
                await body.abort()
            case _:
                assert_never(step)
