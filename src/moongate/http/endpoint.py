"""A surface as an ASGI app, so that everything a reply holds is held until its last byte is sent.

The response runs inside the gateway's scopes. A caller who hangs up cancels them from the inside out: upstream
closed, account returned; nothing else needs to know.
"""

import time
from collections.abc import Mapping
from contextlib import aclosing

from starlette.types import Receive, Scope, Send

from moongate.core.errors import GatewayError
from moongate.core.exchange import Exchange
from moongate.core.identity import Caller
from moongate.core.request import RequestHead
from moongate.dialects.dialect import Server
from moongate.gateway import Answer, Gateway
from moongate.http.body import read_body
from moongate.http.line import HungUp, Line
from moongate.http.reply import JSON, STREAM, around, around_error, aside, aside_error
from moongate.wire.sse import encode_comment

THINKING = "still working"


class Endpoint:
    """`heartbeat` in seconds, None for none; `max_body` in bytes."""

    def __init__(self, server: Server, gateway: Gateway, *, heartbeat: float | None, max_body: int) -> None:
        self._server = server
        self._gateway = gateway
        self._heartbeat = heartbeat
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope["state"]["exchange"]
        headers: Mapping[str, str] = scope["state"]["headers"]
        try:
            caller = exchange.caller = self._gateway.admit(headers)
            body = await read_body(receive, headers, self._max_body)
            head = RequestHead(headers, exchange.request_id, time.time(), scope["state"].get("conversation", ""))
            telling = Telling(self._server, exchange)
            async with Line(receive, send, self._heartbeat, telling.beat) as telling.line:
                await self._answer(telling, caller, head, body)
        except HungUp:
            exchange.outcome = "hung up"
        except GatewayError as error:
            exchange.outcome, exchange.failure = "refused", error
            await refuse(self._server, exchange, error, send)

    async def _answer(self, telling: "Telling", caller: Caller, head: RequestHead, body: bytes) -> None:
        """Raises GatewayError where nothing has been sent yet."""
        exchange = telling.exchange
        try:
            async with self._gateway.answer(self._server, caller, head, body, exchange) as answer:
                await telling.tell(answer)
        except GatewayError as error:
            if not telling.has_begun:
                raise
            await telling.break_off(error)


class Telling:
    """How far one reply has been told."""

    line: Line

    def __init__(self, server: Server, exchange: Exchange) -> None:
        self.exchange = exchange
        self.has_begun = False
        self._is_over = False
        self._server = server

    async def tell(self, answer: Answer) -> None:
        """Raises GatewayError while nothing was sent; once a stream runs, its failures are told in it."""
        if not answer.is_stream:
            body = await answer.whole()
            self._mark()
            await self.line.start(200, around(self.exchange, JSON, (b"content-length", str(len(body)).encode())))
            await self._finish(body)
            return
        if self.has_begun:  # the headers left with the first heartbeat, before there was anything to say in them
            await self.line.write(aside(self.exchange))
        else:
            await self._begin()
        async with aclosing(answer.stream()) as stream:
            async for data in stream:
                self._mark()
                await self.line.write(data)
        failure = self.exchange.failure
        await self._finish(aside_error(failure) if failure else b"")

    async def beat(self) -> None:
        """Breaks the silence of a stream. A whole reply has no way to say that it is not there yet."""
        if self.exchange.stream and not self._is_over:
            if not self.has_begun:
                await self._begin()
            await self.line.write(encode_comment(THINKING))

    async def break_off(self, error: GatewayError) -> None:
        """End a stream that began with heartbeats alone; one that broke later has told it already."""
        if not self._is_over:
            self.exchange.failure = error
            await self._finish(self._server.fail(error) + aside(self.exchange) + aside_error(error))

    async def _begin(self) -> None:
        self.has_begun = True
        await self.line.start(200, around(self.exchange, *STREAM))

    async def _finish(self, data: bytes = b"") -> None:
        self.has_begun = self._is_over = True
        await self.line.finish(data)

    def _mark(self) -> None:
        if self.exchange.first_byte is None:
            self.exchange.first_byte = time.monotonic()


async def refuse(server: Server, exchange: Exchange, error: GatewayError, send: Send) -> None:
    """An error with a status, in the dialect of who asked."""
    body = server.refuse(error)
    headers = around_error(exchange, error, len(body))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
