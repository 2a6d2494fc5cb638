"""Every request comes in here: it gets its name and its record, and goes to a surface or a page.

The last boundary: what nobody foresaw is logged with its trace and answered with a plain 500.
"""

import time
import traceback
from collections.abc import Callable, Iterable, Mapping

import structlog
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from moongate.core.errors import GatewayError, Kind
from moongate.core.exchange import Exchange, Observer, close
from moongate.core.hosts import Network
from moongate.core.redact import redact
from moongate.dialects.dialect import Server as Dialect
from moongate.http.address import client_address, is_plain
from moongate.http.endpoint import refuse
from moongate.http.reply import EXPOSED
from moongate.http.request_id import request_id

HEAD_LIMIT = 64 * 1024
"""Bytes of all header names and values together."""

_log = structlog.get_logger()


class Server:
    """ASGI. `endpoints` by path, all POST, and each with the names of conversations below it; everything else is for
    `pages`. `dialect` tells errors of neither."""

    def __init__(
        self,
        endpoints: Mapping[str, ASGIApp],
        pages: ASGIApp,
        dialect: Dialect,
        observers: Iterable[Observer],
        allowed_origins: tuple[str, ...],
        trusted_proxies: tuple[Network, ...],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = endpoints
        self._pages = pages
        self._dialect = dialect
        self._observers = tuple(observers)
        self._trusted = trusted_proxies
        self._origins = allowed_origins
        self._clock = clock
        self._inner = CORSMiddleware(
            self._route,
            allow_origins=allowed_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("*",),
            expose_headers=EXPOSED,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
            return
        headers = _headers(scope["headers"])
        exchange = Exchange(
            request_id=request_id(headers.get("x-request-id")),
            method=scope["method"],
            path=scope["path"],
            started=self._clock(),
            client=client_address(scope.get("client"), headers, self._trusted),
        )
        scope["state"] = {**scope.get("state", {}), "exchange": exchange, "headers": headers}
        try:
            await self._inner(scope, receive, _noting(send, exchange))
        finally:
            record = close(exchange, self._clock())
            for observer in self._observers:
                observer.observe(record)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope["state"]["exchange"]
        try:
            surface = self._surface(scope)
            self._admit(scope, is_surface=surface is not None)
            await (surface or self._pages)(scope, receive, send)
        except GatewayError as error:
            exchange.outcome, exchange.failure = "refused", error
            await refuse(self._dialect, exchange, error, send)
        except Exception as error:  # the boundary: a bug costs one request, not the process
            _log.error("bug", request_id=exchange.request_id, path=exchange.path, trace=_trace(error))
            exchange.failure = GatewayError(Kind.INTERNAL, f"the gateway failed; its log names {exchange.request_id}")
            exchange.outcome = "failed" if exchange.status else "refused"
            if exchange.status:
                raise  # too late for a status: the server closes the connection, so the reply is not taken for whole
            await refuse(self._dialect, exchange, exchange.failure, send)

    def _surface(self, scope: Scope) -> ASGIApp | None:
        """The surface of this path; what follows it may name a conversation."""
        path: str = scope["path"]
        if (endpoint := self._endpoints.get(path)) is not None:
            return endpoint
        for base, endpoint in self._endpoints.items():
            named = path.removeprefix(f"{base}/")
            if named not in ("", path):
                scope["state"]["conversation"] = named
                return endpoint
        return None

    def _admit(self, scope: Scope, *, is_surface: bool) -> None:
        """Raises GatewayError for a request no surface needs to see."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEAD_LIMIT:
            raise GatewayError(Kind.HEADERS_TOO_LARGE, f"the headers are larger than {HEAD_LIMIT} bytes")
        if is_surface and scope["method"] != "POST":
            message = f"{scope['path']} is asked with POST, not {scope['method']}"
            raise GatewayError(Kind.WRONG_METHOD, message, allow="POST")
        origin = scope["state"]["headers"].get("origin")
        if origin is not None and not self._is_allowed(origin, scope["state"]["headers"]):
            raise GatewayError(Kind.FORBIDDEN, "pages of this origin may not ask; see ALLOWED_ORIGINS")

    def _is_allowed(self, origin: str, headers: Mapping[str, str]) -> bool:
        """CORS alone hides a reply from a page but lets it ask, and so spend: here it may not even ask."""
        if "*" in self._origins or origin in self._origins:
            return True
        host = headers.get("host", "")
        return origin in (f"http://{host}", f"https://{host}") and is_plain(host)


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """By name; what was sent in several lines is one list, as HTTP has it."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, said = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {said}" if key in headers else said
    return headers


def _noting(send: Send, exchange: Exchange) -> Send:
    """Takes down the status and that the reply came to its end, and sees to it that it carries the request's name."""

    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.status = message["status"]
            headers = message["headers"] = list(message.get("headers", ()))
            if not any(name == b"x-request-id" for name, _ in headers):
                headers.append((b"x-request-id", exchange.request_id.encode()))
        await send(message)
        if not message.get("more_body", message["type"] == "http.response.start") and exchange.failure is None:
            exchange.outcome = "answered"

    return noting


def _trace(error: Exception) -> str:
    return redact("".join(traceback.format_exception(error)))
