"""HTTP by aiohttp. Swap the client here and nowhere else."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from io import BytesIO

import aiohttp
from msgspec import Struct
from yarl import URL

from moongate.core.errors import GatewayError, Kind
from moongate.core.hosts import is_this_machine
from moongate.upstreams.driver import Incoming
from moongate.wire.http import HttpCall, HttpHead, HttpReply

CONNECT_TIMEOUT = 10.0
"""Seconds to a connection; the driver's deadlines cover the rest."""

FETCH_TIMEOUT = 30.0
"""Seconds for a small call that is not a model's reply, and asks for no other patience."""

FETCH_LIMIT = 16 * 1024 * 1024
"""Bytes of the answer to one."""

LARGE = 256 * 1024
"""Bytes of a body that is not written in one go."""

DRAIN_TIMEOUT = 0.25
"""Seconds to wait for the end of a body whose last event has come, so that its connection can be used again."""


class TransportStatistics(Struct, frozen=True):
    open: int
    """Exchanges in progress."""


class AiohttpTransport:
    """One connection pool for the life of the process; `async with` it."""

    def __init__(self) -> None:
        self._open = 0
        self._session: aiohttp.ClientSession | None = None
        self._proxy = cache(proxy)

    async def __aenter__(self) -> "AiohttpTransport":
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60, ttl_dns_cache=300),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def statistics(self) -> TransportStatistics:
        return TransportStatistics(self._open)

    async def fetch(self, call: HttpCall) -> HttpReply:
        try:
            async with asyncio.timeout(call.patience or FETCH_TIMEOUT), self.stream(call) as incoming:
                body = b""
                while data := await incoming.read():
                    body += data
                    if len(body) > FETCH_LIMIT:
                        raise GatewayError.protocol(f"the upstream answered with more than {FETCH_LIMIT} bytes")
                return HttpReply(incoming.head, body)
        except TimeoutError as error:
            raise GatewayError(Kind.TIMED_OUT, "the upstream did not answer in time") from error

    @asynccontextmanager
    async def stream(self, call: HttpCall) -> AsyncIterator[Incoming]:
        if self._session is None:
            raise RuntimeError("the transport is used before it was entered")
        self._open += 1
        response = None
        try:
            response = await self._begin(self._session, call)
            yield _Reply(response)
            await _drain(response)
        finally:
            self._open -= 1
            if response is not None:
                response.close()  # a connection whose body came to its end is already back in the pool

    async def _begin(self, session: aiohttp.ClientSession, call: HttpCall) -> aiohttp.ClientResponse:
        try:
            url = URL(call.url)
            return await session.request(
                call.method,
                url,
                headers=call.headers,
                data=_sendable(call.body),
                proxy=self._proxy(url.origin()),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError) as error:  # of time-outs only aiohttp's own; the driver's cancel
            raise _failure(error) from error


class _Reply:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._content = response.content
        self.head = HttpHead(response.status, {name.lower(): value for name, value in response.headers.items()})

    async def read(self) -> bytes:
        try:
            return await self._content.readany()
        except aiohttp.ClientPayloadError as error:
            raise GatewayError.truncated() from error
        except aiohttp.ClientError as error:
            raise GatewayError(Kind.TRUNCATED, "the connection to the upstream broke") from error


def _sendable(body: bytes) -> bytes | BytesIO | None:
    """Large bodies, such as those with images, go out in pieces: written at once they would hold up everybody else."""
    return BytesIO(body) if len(body) > LARGE else body or None


async def _drain(response: aiohttp.ClientResponse) -> None:
    """The caller has been told everything; a connection that ends properly meanwhile need not be thrown away."""
    if response.content.is_eof():
        return
    try:
        async with asyncio.timeout(DRAIN_TIMEOUT):
            while await response.content.readany():
                pass
    except (TimeoutError, aiohttp.ClientError):
        pass  # then it is closed, which costs the next request a handshake and nothing else


def proxy(origin: URL) -> str | None:
    """The proxy this machine's HTTP_PROXY, HTTPS_PROXY and NO_PROXY name for `origin`.

    This machine is never behind one. Raises GatewayError (MISDIRECTED) for a proxy of another kind.

    aiohttp could do so itself, but would read ~/.netrc too: at each request, and it refuses calls for which it finds
    something there.
    """
    if origin.host is None or is_this_machine(origin.host) or urllib.request.proxy_bypass(origin.host):
        return None
    found = urllib.request.getproxies().get(origin.scheme)
    if found is not None and not found.startswith(("http://", "https://")):
        kind = found.partition("://")[0][:20] if "://" in found else "one without http://"
        message = f"{origin.scheme.upper()}_PROXY names a proxy of a kind that is not supported: {kind}"
        raise GatewayError(Kind.MISDIRECTED, message)
    return found


def _failure(error: Exception) -> GatewayError:
    """Told in words of our own: aiohttp's hold the URL of a proxy with the password in it."""
    match error:
        case aiohttp.ClientHttpProxyError(status=status):
            return GatewayError(Kind.UNREACHABLE, f"the proxy on the way to the upstream answered {status}")
        case aiohttp.ClientResponseError():
            return GatewayError.protocol("the upstream answered with malformed HTTP")
        case aiohttp.InvalidURL():
            return GatewayError(Kind.MISDIRECTED, "the base URL or the proxy's URL is malformed")
        case aiohttp.ClientConnectorCertificateError():
            return GatewayError(Kind.UNREACHABLE, f"the certificate of {error.host} is not trusted")
        case aiohttp.ClientProxyConnectionError():
            return GatewayError(Kind.UNREACHABLE, f"cannot connect to the proxy {error.host}:{error.port}")
        case aiohttp.ClientConnectorError():
            why = error.os_error.strerror or type(error.os_error).__name__
            return GatewayError(Kind.UNREACHABLE, f"cannot connect to {error.host}:{error.port}: {why}")
        case aiohttp.ServerDisconnectedError():
            return GatewayError(Kind.UNREACHABLE, "the upstream closed the connection without an answer")
        case TimeoutError():
            return GatewayError(Kind.UNREACHABLE, f"no connection to the upstream within {CONNECT_TIMEOUT:g} seconds")
        case _:
            return GatewayError(Kind.UNREACHABLE, f"the upstream could not be reached: {type(error).__name__}")
