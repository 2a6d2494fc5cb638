"""The simulator as a scope: it binds a port, keeps the witness, and is gone when the scope is left."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from email.utils import formatdate
from typing import Final, Literal
from urllib.parse import parse_qsl

from aiohttp import web

from moongate.simulator.accounts import Accounts, AccountState
from moongate.simulator.answer import Answer, Desk, Knobs, Request
from moongate.simulator.oauth import OAuth
from moongate.simulator.perform import perform
from moongate.simulator.script import Script, read
from moongate.simulator.tokens import Prefixes
from moongate.simulator.values import JsonObject, dumps, loads
from moongate.simulator.witness import Queue, Seen, keep, masked

_LARGEST_BODY: Final = 128 * 1024 * 1024
LOGIN: Final[Mapping[str, Literal["begin", "token"]]] = {
    "/api/oauth/device_authorization": "begin",
    "/api/oauth/token": "token",
}
_PATIENCE: Final = 0.5  # seconds that abandoned handlers get to end


class Simulator:
    """A running simulator; all its members belong to the event loop it was opened on.

    `url` is such as `http://127.0.0.1:54321`, `seen` one record a request, oldest first, the last 1000 of them.
    """

    def __init__(self, keys: frozenset[str] | None = None, *, strict_reasoning: bool = False) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self.oauth = OAuth()
        self.knobs = Knobs()
        self._desk = Desk(Queue(), Prefixes(), keys, strict_reasoning, Accounts(), self.oauth, self.knobs)
        self._runner = web.AppRunner(
            _application(self), handler_cancellation=True, shutdown_timeout=_PATIENCE, access_log=None
        )
        self._tasks: set[asyncio.Task[object]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False

    @property
    def platform(self) -> str:
        """The base URL of the platform dialect."""
        return f"{self.url}/v1"

    @property
    def kimi_code(self) -> str:
        """The base URL of the Kimi Code dialect."""
        return f"{self.url}/coding/v1"

    @property
    def open(self) -> int:
        """How many requests are in progress."""
        return len(self._tasks)

    @property
    def connections(self) -> int:
        """How many TCP connections are open, idle ones included."""
        return len(self._runner.server.connections) if self._runner.server else 0

    @property
    def queued(self) -> int:
        """How many scripts wait for a request."""
        return len(self._desk.queue)

    def enqueue(self, script: Script, credential: str | None = None) -> None:
        """Answer the next request of this credential, or of any, by this script."""
        self._desk.queue.put(script, credential)

    def always(self, script: Script, credential: str | None = None) -> Callable[[], None]:
        """Answer every request of this credential, or of any, by this script, until the returned function is called."""
        return self._desk.queue.stand(script, credential)

    def account(self, credential: str) -> AccountState:
        """What the vendor holds about a key, or about the login of an access token; to be changed at will."""
        return self._desk.account(credential)

    def clear_queue(self) -> None:
        self._desk.queue.clear()

    def reset(self) -> None:
        """Forget what was seen, queued and cached. Requests in progress go on."""
        self.seen.clear()
        self._desk.queue.clear()
        self._desk.prefixes.clear()
        self._desk.accounts.clear()
        self.oauth.clear()

    async def settled(self) -> None:
        """Wait until no request is in progress."""
        await self._idle.wait()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request but those of the control routes."""
        body = await request.read()
        value, error = _parsed(body)
        seen = _record(request, body, value)
        keep(self.seen, seen)
        try:
            with self._in_progress(seen):
                if request.method == "POST" and (step := LOGIN.get(request.path)) is not None:
                    return await self._log_in(step, body, seen)
                answer = self._desk.answer(_reduced(request, value, error))
                if self.knobs.date_skew:
                    answer.headers["Date"] = formatdate(time.time() + self.knobs.date_skew, usegmt=True)
                with _counted(answer):
                    return await perform(request, answer, seen)
        except ConnectionError:
            return web.Response(status=499)  # nobody reads it; raising would only have aiohttp log a trace

    async def _log_in(self, step: Literal["begin", "token"], body: bytes, seen: Seen) -> web.Response:
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        reply = self.oauth.begin() if step == "begin" else await self.oauth.token(form)
        seen.status = reply.status
        seen.end("answered" if reply.status == 200 else "refused")
        return web.Response(body=reply.body, status=reply.status, content_type="application/json")

    @contextlib.contextmanager
    def _in_progress(self, seen: Seen) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a handler always runs in one
        self._tasks.add(task)
        self._idle.clear()
        try:
            yield
        except (asyncio.CancelledError, ConnectionError):
            if self._closing:
                seen.end("cut")
            else:
                seen.hang_up()
            raise
        finally:
            self._tasks.discard(task)
            if not self._tasks:
                self._idle.set()

    @contextlib.asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[None]:
        """Raises OSError when the address cannot be bound."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
            bound_host, bound_port, *_ = self._runner.addresses[0]
            self.url = f"http://{f'[{bound_host}]' if ':' in bound_host else bound_host}:{bound_port}"
            yield
        finally:
            self._closing = True
            await self._abandon()
            await self._runner.cleanup()

    async def _abandon(self) -> None:
        """Nobody waits for a stalled answer, nor for a connection that idles."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE)


@contextlib.asynccontextmanager
async def simulator(
    host: str = "127.0.0.1", port: int = 0, *, keys: frozenset[str] | None = None, strict_reasoning: bool = False
) -> AsyncIterator[Simulator]:
    """A simulator listening for as long as the scope is open; port 0 takes a free one.

    With `keys` only these credentials are let in, otherwise every well-formed one. `strict_reasoning` refuses
    assistant tool call messages without `reasoning_content` while thinking is on. Leaving the scope breaks off
    whatever is in progress. Raises OSError when the address cannot be bound.
    """
    running = Simulator(keys, strict_reasoning=strict_reasoning)
    async with running.listening(host, port):
        yield running


@contextlib.contextmanager
def _counted(answer: Answer) -> Iterator[None]:
    """A chat request that is served counts against its account for as long as it lasts."""
    if answer.account is None:
        yield
        return
    answer.account.begin()
    try:
        yield
    finally:
        answer.account.end()


def _parsed(body: bytes) -> tuple[object, str]:
    """The JSON, or None and why it is none."""
    try:
        return loads(body), ""
    except ValueError as error:
        return None, str(error)


def _record(request: web.Request, body: bytes, value: object) -> Seen:
    return Seen(
        method=request.method,
        path=request.path_qs,
        headers=masked(request.headers),
        body=body,
        json=value,
        came_at=time.monotonic(),
    )


def _reduced(request: web.Request, value: object, error: str) -> Request:
    return Request(
        method=request.method,
        path=request.path,
        authorization=request.headers.get("Authorization", ""),
        user_agent=request.headers.get("User-Agent", ""),
        json=value,
        bad_json=error,
        now=time.time(),
    )


def _application(running: Simulator) -> web.Application:
    """Everything is answered as an upstream would, but for three control routes, which need no credential.

    POST /_simulator/scripts?credential=… takes one script or a list, DELETE drops all that wait, and
    GET /_simulator/seen lists the records.
    """

    async def enqueue(request: web.Request) -> web.Response:
        return _enqueued(running, await request.read(), request.query.get("credential"))

    async def clear(request: web.Request) -> web.Response:
        removed = running.queued
        running.clear_queue()
        return _json({"removed": removed})

    async def seen(request: web.Request) -> web.Response:
        return _json([record.as_json() for record in running.seen])

    application = web.Application(client_max_size=_LARGEST_BODY)
    application.add_routes(
        [
            web.post("/_simulator/scripts", enqueue),
            web.delete("/_simulator/scripts", clear),
            web.get("/_simulator/seen", seen),
            web.route("*", "/{path:.*}", running.handle),
        ]
    )
    return application


def _enqueued(running: Simulator, body: bytes, credential: str | None) -> web.Response:
    """The body is one script or a list of them; either all are queued or, with a 400 that says why, none."""
    try:
        value = loads(body)
        scripts = [read(item) for item in (value if isinstance(value, list) else [value])]
    except ValueError as error:
        return _json({"error": {"message": str(error), "type": "invalid_request_error"}}, 400)
    for script in scripts:
        running.enqueue(script, credential)
    return _json({"queued": running.queued})


def _json(value: JsonObject | list[JsonObject], status: int = 200) -> web.Response:
    return web.Response(body=dumps(value), status=status, content_type="application/json", charset="utf-8")
