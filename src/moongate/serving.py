"""Runs the servers: opens the port, tells the operator what is where, and waits to be stopped."""

import asyncio
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import uvicorn
import uvicorn.supervisors
from starlette.types import ASGIApp

from moongate.app import Doors, doors, running
from moongate.beside import beside
from moongate.core.sealed import Sealed
from moongate.http.protocol import Protocol
from moongate.reloading import Reloading, configure_log
from moongate.settings import Settings, SettingsError, load
from moongate.simulator import simulator
from moongate.storage.running import announced
from moongate.welcome import address_of, first_screen

GRACE = 30
"""Seconds open streams may take to end after the first signal to stop."""

KEEP_ALIVE = 75
"""Seconds an idle connection of a client is kept; longer than proxies in front keep theirs."""


def serve(given: Mapping[str, object]) -> None:
    """Until a signal stops it. `given` are the command line's settings.

    Exits with 2 and one line where a setting is wrong, or the port or the home cannot be had.
    """
    settings = _settings(given)
    listening = _listening(settings.listen.host, settings.listen.port)
    if settings.reload:
        _serve_and_reload(given, listening)
    else:
        serve_on([listening], given)


def serve_on(sockets: list[socket.socket], given: Mapping[str, object]) -> None:
    """The same on a socket that is open already."""
    settings = _settings(given)
    configure_log(settings)
    try:
        entrance = doors(settings)
    except OSError as error:
        _fail(f"MOONGATE_HOME={settings.home}: a key for callers cannot be kept there: {error.strerror}")
    except ValueError as error:
        _fail(str(error))
    _run(_serve(settings, entrance, sockets[0], given))


def _serve_and_reload(given: Mapping[str, object], listening: socket.socket) -> None:
    """For who works on Moongate itself: a new process whenever its code changes."""
    config = uvicorn.Config("", reload=True, reload_dirs=[str(Path(__file__).parent)], log_config=None)
    child = partial(serve_on, given=given)
    uvicorn.supervisors.ChangeReload(config, target=child, sockets=[listening]).run()


def _settings(given: Mapping[str, object]) -> Settings:
    try:
        return load(given)
    except SettingsError as error:
        _fail(str(error))


def simulate(host: str, port: int) -> None:
    """Until a signal stops it."""
    try:
        _run(_simulate(host, port))
    except OSError as error:
        _fail(f"--host {host} --port {port}: cannot listen there: {error.strerror or error}")


async def _serve(settings: Settings, entrance: Doors, listening: socket.socket, given: Mapping[str, object]) -> None:
    word = Sealed(secrets.token_urlsafe(32))
    async with running(settings, entrance.policy, word) as gateway:
        server = server_of(gateway.app)
        with _stopped_by_signals(server), announced(settings.home, address_of(listening), word):
            async with serving_on(listening, server), beside(Reloading(gateway, settings, given).run()):
                _say(first_screen(settings, gateway, entrance, listening))
                await server.main_loop()
                gateway.pool.stop()
                if waiting := len(server.server_state.tasks):
                    _say(f"Stopping: {waiting} replies may take up to {GRACE} s to end. Once more to cut them off.")


def server_of(app: ASGIApp) -> uvicorn.Server:
    server = uvicorn.Server(_config(app))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    return server


@asynccontextmanager
async def serving_on(listening: socket.socket, server: uvicorn.Server) -> AsyncIterator[None]:
    """Serve. Leaving the block lets open replies end, or not if `force_exit` is set, and waits until all is let go."""
    await server.startup(sockets=[listening])
    try:
        yield
    finally:
        await server.shutdown(sockets=[listening])
        open_still = tuple(server.server_state.tasks)
        for task in open_still:
            task.cancel()
        await asyncio.gather(*open_still, return_exceptions=True)


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """The first signal lets open streams end, the second does not. uvicorn's own way ends the process too early."""

    def stop(*_: object) -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )


async def _simulate(host: str, port: int) -> None:
    async with simulator(host, port) as server:
        server.oauth.change({"interval": 1, "auto_approve_after": 2})  # a login succeeds by itself
        _say(
            f"The simulator listens on {server.url}\n"
            f"  platform   KIMI_API_KEY=sk-example-key       KIMI_BASE_URL={server.url}/v1\n"
            f"  Kimi Code  KIMI_CODE_API_KEY=sk-kimi-example KIMI_API_BASE_URL={server.url}/coding\n"
            f"  web        KIMI_WEB_BASE_URL={server.url} KIMI_WEB_AUTH_URL={server.url}\n"
            f"             KIMI_TOKENS={server.web.user('ada').refresh_token}\n"
            f"  site       KIMI_SITE_ENABLED=true KIMI_SITE_BASE_URL={server.url}\n"
            f"  login      moongate login kimi-code, with KIMI_CODE_OAUTH_HOST set to {server.url}\n"
            "No model is asked. Ctrl-C stops it."
        )
        await asyncio.Event().wait()


def _listening(host: str, port: int) -> socket.socket:
    """Opened before anything else, so that a port in use is told before anything has started."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        _fail(f"API_HOST={host}, API_PORT={port}: cannot listen there: {error.strerror}")
    listening.set_inheritable(True)
    return listening


def _run(main: Coroutine[object, object, None]) -> None:
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main)
    except KeyboardInterrupt:
        sys.exit(130)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where there is one."""
    try:
        import uvloop  # there is none for Windows
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _say(text: str) -> None:
    """To the person who started it; the log goes elsewhere."""
    print(text, flush=True)  # noqa: T201


def _fail(message: str) -> NoReturn:
    print(f"moongate: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(2)
