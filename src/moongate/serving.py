"""Runs the servers: opens the port, tells the operator what is where, and waits to be stopped."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

import uvicorn
import uvicorn.supervisors
from starlette.types import ASGIApp

from moongate.app import Doors, Running, doors, running
from moongate.http.protocol import Protocol
from moongate.settings import Settings, SettingsError, load
from moongate.simulator import simulator
from moongate.telemetry import log

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
    as_json = settings.log.format == "json" or (settings.log.format == "auto" and not sys.stderr.isatty())
    log.configure("DEBUG" if settings.log.debug else settings.log.level, as_json=as_json)
    try:
        entrance = doors(settings)
    except (OSError, ValueError) as error:
        _fail(str(error))
    _run(_serve(settings, entrance, sockets[0]))


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


async def _serve(settings: Settings, entrance: Doors, listening: socket.socket) -> None:
    async with running(settings, entrance.policy) as gateway, _uvicorn(gateway.app, listening) as server:
        _say(_first_screen(settings, gateway, entrance, listening))
        await server.main_loop()


@asynccontextmanager
async def _uvicorn(app: ASGIApp, listening: socket.socket) -> AsyncIterator[uvicorn.Server]:
    """uvicorn, listening; leaving the block lets open streams end and then stops it."""
    server = uvicorn.Server(server_config(app))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    with server.capture_signals():
        await server.startup(sockets=[listening])
        try:
            yield server
        finally:
            await server.shutdown(sockets=[listening])


def server_config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )


async def _simulate(host: str, port: int) -> None:
    async with simulator(host, port) as server:
        _say(
            f"The simulator listens on {server.url}\n"
            f"  platform   KIMI_API_KEY=sk-example-key       KIMI_BASE_URL={server.url}/v1\n"
            f"  Kimi Code  KIMI_CODE_API_KEY=sk-kimi-example KIMI_API_BASE_URL={server.url}/coding\n"
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


def _first_screen(settings: Settings, gateway: Running, entrance: Doors, listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{'127.0.0.1' if ip_address(host).is_unspecified else shown}:{port}"
    key = entrance.new_key or ("$MOONGATE_KEY" if entrance.policy.required else "")
    return "\n".join(
        (
            f"Moongate listens on http://{shown}:{port}   documentation: {url}/docs",
            *_about_accounts(settings, gateway),
            *_about_keys(entrance),
            "Try it:",
            f"  {_curl(url, key)}",
            "  " + _python(url, key),
        )
    )


def _about_accounts(settings: Settings, gateway: Running) -> Iterator[str]:
    if gateway.is_demo:
        yield "DEMO MODE: no credential is configured, so the built-in simulator answers and no model is asked."
        yield "  Set KIMI_API_KEY (platform) or KIMI_CODE_API_KEY (Kimi Code), here or in .env, and start again."
        yield "  演示模式：尚未配置任何凭据，由内置模拟器作答，不会请求真实模型。设置 KIMI_API_KEY 后重新启动即可。"
    else:
        names = ", ".join(f"{account.name} ({account.upstream})" for account in settings.accounts)
        yield f"Accounts: {names}"


def _about_keys(entrance: Doors) -> Iterator[str]:
    if entrance.new_key:
        yield f"A key was made for callers, and is shown this once: {entrance.new_key}"
    elif entrance.policy.required:
        yield "Callers need a key."
    else:
        yield "Callers need no key, as only this machine can reach the gateway."


def _curl(url: str, key: str) -> str:
    auth = f" -H 'authorization: Bearer {key}'" if key else ""
    body = """'{"model":"kimi-k3","messages":[{"role":"user","content":"你好"}]}'"""
    return f"curl {url}/v1/chat/completions{auth} -H 'content-type: application/json' -d {body}"


def _python(url: str, key: str) -> str:
    """Works as pasted into a shell, with nothing but Python."""
    auth = f", 'authorization': 'Bearer {key}'" if key else ""
    return (
        'python3 -c "import json, urllib.request as u; '
        f"r = u.Request('{url}/v1/chat/completions', headers={{'content-type': 'application/json'{auth}}}, "
        "data=json.dumps({'model': 'kimi-k3', 'messages': [{'role': 'user', 'content': 'Hello'}]}).encode()); "
        "print(json.load(u.urlopen(r))['choices'][0]['message']['content'])\""
    )


def _say(text: str) -> None:
    """To the person who started it; the log goes elsewhere."""
    print(text, flush=True)  # noqa: T201


def _fail(message: str) -> NoReturn:
    print(f"moongate: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(2)
