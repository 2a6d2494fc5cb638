"""HTTP by cloudscraper, a library that some sites' protection against bots lets pass. Optional, for those sites only.

The library waits for its answers, so each call has a thread of its own, and a session nobody else uses meanwhile. A
call that is given up ends there when it ends; nobody waits for it, not even the end of the process.
"""

import asyncio
import importlib
import importlib.util
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from msgspec import Struct
from yarl import URL

from moongate.core.errors import GatewayError, Kind
from moongate.upstreams.driver import Incoming, Whole
from moongate.upstreams.transport import CONNECT_TIMEOUT, FETCH_LIMIT, FETCH_TIMEOUT, proxy
from moongate.wire.http import HttpCall, HttpHead, HttpReply

AT_ONCE = 4
"""Calls in progress; more of them wait."""

LONGEST = 600.0
"""Seconds a call may be silent whose own deadlines are somebody else's to keep."""

CHUNK = 64 * 1024

MISSING = 'the library cloudscraper is not installed: pip install "moongate[cloudscraper]"'


class Response(Protocol):
    """Of the library `requests`, as far as it is used here."""

    status_code: int

    @property
    def headers(self) -> Mapping[str, str]: ...
    def iter_content(self, chunk_size: int) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class Session(Protocol):
    """Likewise. `timeout`: seconds to a connection, and between two bytes."""

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        data: bytes | None,
        proxies: Mapping[str, str],
        timeout: tuple[float, float],
        allow_redirects: bool,
        stream: bool,
    ) -> Response: ...
    def close(self) -> None: ...


class Library(Struct, frozen=True):
    """Where sessions come from, and what they raise that no other library would: a challenge was too much for them."""

    session: Callable[[], Session]
    gave_up: tuple[type[Exception], ...] = ()


class ScraperTransport:
    """`async with` it to have its connections closed at the end. `session`: who makes sessions, where it is not
    cloudscraper. Raises ValueError where that is wanted and not installed."""

    def __init__(self, session: Callable[[], Session] | None = None) -> None:
        self._library = Library(session) if session is not None else _installed()
        self._free = asyncio.Semaphore(AT_ONCE)
        self._idle: list[Session] = []
        self._open = 0

    async def __aenter__(self) -> "ScraperTransport":
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._idle:
            self._idle.pop().close()

    @property
    def open(self) -> int:
        """Calls in progress, those included that were given up."""
        return self._open

    async def fetch(self, call: HttpCall) -> HttpReply:
        patience = call.patience or FETCH_TIMEOUT
        try:
            async with asyncio.timeout(patience):
                return await self._ask(call, patience)
        except TimeoutError as error:
            raise GatewayError(Kind.TIMED_OUT, "the upstream did not answer in time") from error

    @asynccontextmanager
    async def stream(self, call: HttpCall) -> AsyncIterator[Incoming]:
        """In one piece: a library that waits has no better way."""
        yield Whole(await self._ask(call, call.patience or LONGEST))

    async def _ask(self, call: HttpCall, patience: float) -> HttpReply:
        await self._free.acquire()
        errand = _Errand(self._library, self._idle.pop() if self._idle else None, call, patience)
        self._open += 1
        errand.reply.add_done_callback(self._when_done(errand))
        threading.Thread(target=errand.run, name="cloudscraper", daemon=True).start()
        try:
            return await asyncio.wrap_future(errand.reply)
        finally:
            errand.is_given_up = True

    def _when_done(self, errand: "_Errand") -> Callable[[object], None]:
        loop = asyncio.get_running_loop()

        def done(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed, and with it everybody gone who could want the session
                loop.call_soon_threadsafe(self._take_back, errand)

        return done

    def _take_back(self, errand: "_Errand") -> None:
        self._open -= 1
        if errand.session is not None:
            self._idle.append(errand.session)
        self._free.release()


class _Errand:
    """One call, in a thread. `session` is made there where none was given: that, too, takes its time."""

    def __init__(self, library: Library, session: Session | None, call: HttpCall, patience: float) -> None:
        self.reply: Future[HttpReply] = Future()
        self.session = session
        self.is_given_up = False
        self._library = library
        self._call = call
        self._patience = patience
        self.reply.set_running_or_notify_cancel()  # from now on nobody but the thread ends it

    def run(self) -> None:
        failure = GatewayError(Kind.FAILED, "the library cloudscraper broke down")
        try:
            reply = self._perform()
        except GatewayError as error:
            failure = error
        except self._library.gave_up as error:
            message = f"a bot challenge the library could not pass: {type(error).__name__}"
            failure = GatewayError(Kind.CHALLENGED, message)
        except OSError as error:  # the base of all that `requests` raises
            failure = _failure(error, self._call.url)
        else:
            self.reply.set_result(reply)
        finally:
            if not self.reply.done():
                self.reply.set_exception(failure)

    def _perform(self) -> HttpReply:
        if self.session is None:
            self.session = self._library.session()
        call = self._call
        proxied = _proxies(call.url)
        response = self.session.request(
            call.method,
            call.url,
            headers=call.headers,
            data=call.body or None,
            proxies=proxied,
            timeout=(CONNECT_TIMEOUT, self._patience),
            allow_redirects=False,
            stream=True,
        )
        try:
            head = HttpHead(response.status_code, {name.lower(): value for name, value in response.headers.items()})
            return HttpReply(head, self._read(response))
        finally:
            response.close()

    def _read(self, response: Response) -> bytes:
        body = b""
        for chunk in response.iter_content(CHUNK):
            body += chunk
            if len(body) > FETCH_LIMIT:
                raise GatewayError.protocol(f"the upstream answered with more than {FETCH_LIMIT} bytes")
            if self.is_given_up:
                raise GatewayError.truncated()
        return body


def is_installed() -> bool:
    return importlib.util.find_spec("cloudscraper") is not None


def _installed() -> Library:
    """cloudscraper, whose sessions are `requests`' own. Raises ValueError where it is missing."""
    try:
        library = importlib.import_module("cloudscraper")
        errors = importlib.import_module("cloudscraper.exceptions")
    except ImportError as error:
        raise ValueError(MISSING) from error
    create: Callable[[], _Trusting] = library.create_scraper

    def session() -> Session:
        made = create()
        made.trust_env = False  # which would read ~/.netrc for every host; proxies are looked up here
        return made

    return Library(session, (errors.CloudflareException, errors.CaptchaException))


class _Trusting(Session, Protocol):
    """`trust_env`: look for proxies and credentials in the environment."""

    trust_env: bool


def _proxies(url: str) -> Mapping[str, str]:
    origin = URL(url).origin()
    found = proxy(origin)
    return {} if found is None else {origin.scheme: found}


FAILURES = (
    ("ConnectTimeout", Kind.UNREACHABLE, f"no connection to the upstream within {CONNECT_TIMEOUT:g} seconds"),
    ("Timeout", Kind.TIMED_OUT, "the upstream did not answer in time"),
    ("TimeoutError", Kind.TIMED_OUT, "the upstream did not answer in time"),
    ("ProxyError", Kind.UNREACHABLE, "the proxy on the way to the upstream could not be used"),
    ("SSLError", Kind.UNREACHABLE, "the certificate of the upstream is not trusted"),
    ("ChunkedEncodingError", Kind.TRUNCATED, "the connection to the upstream broke"),
    ("ContentDecodingError", Kind.PROTOCOL, "the upstream answered with malformed HTTP"),
    ("InvalidURL", Kind.MISDIRECTED, "the base URL or the proxy's URL is malformed"),
    ("ConnectionError", Kind.UNREACHABLE, "cannot connect to {host}"),
)
"""By the names of `requests`' errors, which need not be installed; the first that fits. `host` has its port with it."""


def _failure(error: OSError, url: str) -> GatewayError:
    """Told in words of our own: the library's hold URLs, and with them what stands in those."""
    names = {base.__name__ for base in type(error).__mro__}
    for name, kind, message in FAILURES:
        if name in names:
            return GatewayError(kind, message.format(host=URL(url).authority))
    return GatewayError(Kind.UNREACHABLE, f"the upstream could not be reached: {type(error).__name__}")
