"""HTTP/1.1 as uvicorn speaks it with httptools, with a limit on the head and errors in JSON."""

import asyncio
import re
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from moongate.core.errors import GatewayError, Kind
from moongate.dialects.openai_chat.server import OpenAIChat
from moongate.http.request_id import request_id
from moongate.http.server import HEAD_LIMIT

HEAD_WAIT = 60.0
"""Seconds a head may take to come, and a new connection to begin one."""

_UPGRADE = re.compile(rb"(?i)\r\nupgrade:[^\r\n]*")


class Protocol(HttpToolsProtocol):
    """What uvicorn leaves open: the parser underneath would collect a head without end and take trailers for headers,
    what is no HTTP would be answered with plain text, an offer to upgrade would cost the body, and a caller who hangs
    up with a second request in the pipe would not be noticed, and one who never ends a head would be waited for."""

    head_wait = HEAD_WAIT

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._in_message = False
        self._in_head = False
        self._head_size = 0
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_due.cancel()
        running = self._running
        super().connection_lost(exc)
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()

    def data_received(self, data: bytes) -> None:
        if not self._in_message and b"pgrade" in data:
            data = _without_upgrade(data)
        super().data_received(data)
        self._head_size = self._head_size + len(data) if self._in_head else 0
        if self._head_size > HEAD_LIMIT and not self.transport.is_closing():
            self._refuse(GatewayError(Kind.HEADERS_TOO_LARGE, f"the headers are larger than {HEAD_LIMIT} bytes"))

    def on_message_begin(self) -> None:
        self._in_message = self._in_head = True
        self._head_is_due.cancel()
        self._await_head()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else it is a trailer, and says nothing here
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_is_due.cancel()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_message = False
        super().on_message_complete()

    def _await_head(self) -> None:
        self._head_is_due = self.loop.call_later(self.head_wait, self._close_unless_it_came)

    def _close_unless_it_came(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _unsupported_upgrade_warning(self) -> None:
        """Reached only by an offer that `data_received` could not see, cut in two or behind another request. What comes
        after it would be read as a request, whatever it is; so nothing more is read."""
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        self._refuse(GatewayError(Kind.INVALID_REQUEST, "this is not a well-formed HTTP/1.1 request"))

    def _refuse(self, error: GatewayError) -> None:
        body = OpenAIChat().refuse(error)
        head = (
            f"HTTP/1.1 {error.status} {'Bad Request' if error.status == 400 else 'Request Header Fields Too Large'}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {request_id(None)}\r\nx-moongate-origin: {error.kind.origin}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()


def _without_upgrade(data: bytes) -> bytes:
    """Java's client offers HTTP/2 with every request. Who does not take the offer up ignores it (RFC 9110, 7.8); the
    parser would stop reading instead."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"", head) + blank + rest
