"""HTTP/1.1 as uvicorn speaks it with httptools, with a limit on the head and errors in JSON."""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from moongate.core.errors import GatewayError, Kind
from moongate.dialects.openai_chat.server import OpenAIChat
from moongate.http.request_id import request_id
from moongate.http.server import HEAD_LIMIT


class Protocol(HttpToolsProtocol):
    """The parser underneath would collect a head without end, and what is no HTTP would be answered with plain text."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._in_head = False
        self._head_size = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._head_size = self._head_size + len(data) if self._in_head else 0
        if self._head_size > HEAD_LIMIT and not self.transport.is_closing():
            self._refuse(GatewayError(Kind.HEADERS_TOO_LARGE, f"the headers are larger than {HEAD_LIMIT} bytes"))

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

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
