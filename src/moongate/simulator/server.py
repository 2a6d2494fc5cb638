"""The simulator as a scope: it binds a port, keeps the witness, and is gone when the scope is left."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from email.utils import formatdate
from typing import Final

from aiohttp import web

from moongate.simulator import control
from moongate.simulator.accounts import AccountState
from moongate.simulator.answer import Answer
from moongate.simulator.asking import LOGIN, Step, parsed, record, reduced
from moongate.simulator.desk import Desk
from moongate.simulator.knobs import Knobs
from moongate.simulator.oauth import OAuth
from moongate.simulator.perform import perform
from moongate.simulator.script import Script
from moongate.simulator.settable import restore
from moongate.simulator.site import Site
from moongate.simulator.site import control as site_control
from moongate.simulator.site import serving as site_serving
from moongate.simulator.weather import Chances
from moongate.simulator.web import WebSite
from moongate.simulator.web import control as web_control
from moongate.simulator.web import serving as web_serving
from moongate.simulator.witness import Seen, keep

_LARGEST_BODY: Final = 128 * 1024 * 1024
_PATIENCE: Final = 0.5  # seconds that abandoned handlers get to end


class Simulator:
    """A running simulator; all its members belong to the event loop it was opened on.

    `url` is such as `http://127.0.0.1:54321`, `seen` one record a request, oldest first, the last 1000 of them, `web`
    the web site and `site` the one of a third party, whose settings may be changed.
    """

    def __init__(self, keys: frozenset[str] | None = None, *, strict_reasoning: bool = False) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self._desk = Desk(keys=keys, strict_reasoning=strict_reasoning)
        self.web = WebSite()
        self.site = Site()
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.add_routes([*control.routes(self._desk, self.seen), *web_control.routes(self.web)])
        application.add_routes([*site_control.routes(self.site), web.route("*", "/{path:.*}", self.handle)])
        self._runner = web.AppRunner(
            application, handler_cancellation=True, shutdown_timeout=_PATIENCE, access_log=None
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
    def oauth(self) -> OAuth:
        """The login server, whose settings may be changed."""
        return self._desk.oauth

    @property
    def knobs(self) -> Knobs:
        """To be changed at will."""
        return self._desk.knobs

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

    def weather(self, seed: int, chances: Chances) -> Callable[[], None]:
        """Let chance, always the same for a seed, strike chat requests that no script was planned for.

        Each row of `chances` is a share of those requests, from 0 to 1, and a script whose faults go over what a
        directive says; its speech counts only where that has none. What was set before ends, and this with the
        returned function. Requests that are refused for their own sake or their account's meet no weather.
        """
        return self._desk.weather.set(seed, chances)

    def account(self, credential: str) -> AccountState:
        """What the vendor holds about a key, or about the login of an access token; to be changed at will."""
        return self._desk.account(credential)

    def clear_queue(self) -> None:
        """Drop all scripts, those that stand too."""
        self._desk.queue.clear()

    def reset(self) -> None:
        """Be as in the beginning: forget what was seen, set, queued and cached. Requests in progress go on."""
        self.seen.clear()
        for memory in (self._desk.queue, self._desk.weather, self._desk.prefixes, self._desk.accounts, self.oauth):
            memory.clear()
        restore(self.knobs)
        self.web.clear()
        self.site.clear()

    async def settled(self) -> None:
        """Wait until no request is in progress."""
        await self._idle.wait()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request but those of the control routes."""
        body = await request.read()
        value, error = parsed(body)
        seen = record(request, body, value)
        keep(self.seen, seen)
        try:
            with self._in_progress(seen):
                if request.method == "POST" and (step := LOGIN.get(request.path)) is not None:
                    return await self._log_in(step, request, body, seen)
                if site_serving.is_of_the_site(request.path):
                    return await site_serving.serve(self.site, self.url, request, body, seen)
                if web_serving.serves(self.web, request.method, request.path):
                    return await web_serving.serve(self.web, request, body, seen)
                answer = self._desk.answer(reduced(request, value, error))
                answer.headers.update(self._date())
                with _counted(answer):
                    return await perform(request, answer, seen)
        except ConnectionError:
            return web.Response(status=499)  # nobody reads it; raising would only have aiohttp log a trace

    async def _log_in(self, step: Step, request: web.Request, body: bytes, seen: Seen) -> web.Response:
        kind = request.headers.get("Content-Type", "")
        reply = self.oauth.begin(kind, body) if step == "begin" else await self.oauth.token(kind, body)
        if reply.lost:
            seen.end("cut")
            if request.transport is not None:
                request.transport.abort()
        else:
            seen.status = reply.status
            seen.end("answered" if reply.status == 200 else "refused")
        headers = {"Content-Type": "application/json", **self._date()}
        return web.Response(body=reply.body, status=reply.status, headers=headers)

    def _date(self) -> dict[str, str]:
        """The header, where the clock is said to differ."""
        skew = self.knobs.date_skew
        return {"Date": formatdate(time.time() + skew, usegmt=True)} if skew else {}

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
        if writing := self.web.abandon():
            await asyncio.wait(writing, timeout=_PATIENCE)


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
