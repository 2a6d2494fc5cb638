"""The composition root: settings in, a running gateway out. The only module that imports everything."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import structlog
from msgspec import Struct
from starlette.types import ASGIApp, Receive, Scope, Send

from moongate.catalog import Catalog
from moongate.core.hosts import is_this_machine
from moongate.core.sealed import Sealed
from moongate.discovery import Discovery
from moongate.dispatch import Dispatch, Patience
from moongate.gateway import Gateway
from moongate.http import openapi
from moongate.http.admin import Admin
from moongate.http.endpoint import Endpoint
from moongate.http.pages import Pages
from moongate.http.server import Server
from moongate.policy.keys import KeyPolicy, Keyring
from moongate.pool.keeper import Keeper
from moongate.pool.own import OwnAccounts
from moongate.pool.pool import Pool
from moongate.settings import Settings
from moongate.storage.minted import minted_keys
from moongate.surfaces import SURFACES, TWINS
from moongate.telemetry.log import RequestLog
from moongate.upstreams.transport import AiohttpTransport
from moongate.wiring import Wiring, upstreams_for_callers

_log = structlog.get_logger()

FOREVER = 10 * 365 * 24 * 3600.0


class Doors(Struct, frozen=True):
    """Who is let in. `new_key` is shown once, to the operator."""

    policy: KeyPolicy
    new_key: str | None


def doors(settings: Settings) -> Doors:
    """Open only towards this machine; listening elsewhere needs a key, and one is made if there is none.

    Raises OSError and ValueError where the minted key cannot be kept or read.
    """
    callers = settings.callers
    keys = (*callers.default_keys, *callers.valid_keys)
    far = not is_this_machine(settings.listen.host)
    required = far or callers.required or bool(callers.master_key or callers.default_keys)
    policy = KeyPolicy(master=callers.master_key, keys=keys, required=required, tokens_accepted=callers.tokens_accepted)
    if not required or keys or callers.master_key:
        return Doors(policy, None)
    minted, new_key = minted_keys(settings.home)
    return Doors(
        KeyPolicy(minted=minted.digests, salt=minted.salt, required=True, tokens_accepted=callers.tokens_accepted),
        new_key,
    )


class Running:
    """The gateway, and what can be asked of it from outside the requests.

    What lives as long as the process is made once: connections, the accounts' states, those who look after them. What
    follows from the settings is made anew by `take`.
    """

    def __init__(self, transport: AiohttpTransport, pool: Pool, wiring: Wiring, word: Sealed | None) -> None:
        self.app = Switch()
        self.pool = pool
        self.transport = transport
        self.is_demo = False
        self.catalog = Catalog(())
        self._wiring = wiring
        self._word = word
        self._discovery: Discovery | None = None

    async def take(self, settings: Settings, policy: KeyPolicy) -> None:
        """Serve by these settings from now on. Requests under way end by those they began with."""
        accounts = await self._wiring.accounts(settings)
        self.is_demo = not settings.accounts
        self.catalog = Catalog(accounts, {model.name: model.routes for model in settings.models}, self.catalog)
        discovery = Discovery(self.catalog, accounts, self.transport)
        self.pool.adopt(accounts)
        self.app.turn_to(_server(settings, policy, discovery, self.pool, self.transport, self._word))
        before, self._discovery = self._discovery, discovery
        discovery.start()
        if before is not None:
            await before.close()

    async def close(self) -> None:
        if self._discovery is not None:
            await self._discovery.close()


class Switch:
    """An ASGI app that can be exchanged: who has come in stays with the one they came in by."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    def turn_to(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            raise RuntimeError("asked before there was anything to serve by")
        await self._app(scope, receive, send)


@asynccontextmanager
async def running(settings: Settings, policy: KeyPolicy, word: Sealed | None = None) -> AsyncIterator[Running]:
    """The gateway, with everything it needs, until the block ends. `word` opens what only the operator may ask."""
    async with AsyncExitStack() as held:
        transport = await held.enter_async_context(AiohttpTransport())
        pool = Pool()
        wiring = Wiring(transport, held)
        held.push_async_callback(wiring.close)
        gateway = Running(transport, pool, wiring, word)
        held.push_async_callback(gateway.close)
        await gateway.take(settings, policy)
        await held.enter_async_context(beside(Keeper(pool, transport).run()))
        yield gateway


@asynccontextmanager
async def beside(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """`work` goes on while the block does, and ends with it. Raises what `work` raised."""
    task = asyncio.create_task(work)
    task.add_done_callback(_report)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _report(task: asyncio.Task[None]) -> None:
    """What should go on for ever and has broken is told at once, not only at the end."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("bug", trace="".join(traceback.format_exception(error)))


def _server(
    settings: Settings,
    policy: KeyPolicy,
    discovery: Discovery,
    pool: Pool,
    transport: AiohttpTransport,
    word: Sealed | None,
) -> Server:
    own = OwnAccounts(upstreams_for_callers(settings))
    keys = Keyring(policy, own.is_credential)
    dispatch = Dispatch(pool, transport, _patience(settings))
    gateway = Gateway(keys, own, discovery, dispatch, buffered=settings.buffered)
    heartbeat, max_body = settings.deadlines.heartbeat, settings.listen.max_body
    endpoints: Mapping[str, ASGIApp] = {
        surface.path: Endpoint(surface.server, gateway, heartbeat=heartbeat, max_body=max_body) for surface in SURFACES
    }

    async def is_ready() -> bool:
        return pool.can_serve(await discovery.promises(), settings.deadlines.queue)

    pages = Pages(
        discovery,
        keys,
        own,
        openapi.document(endpoints, TWINS),
        TWINS,
        SURFACES[0].server,
        public_models=settings.callers.public_models,
        is_ready=is_ready,
        more=Admin(pool, tuple(key for key in (policy.master, word) if key is not None)).routes(),
    )
    return Server(
        endpoints,
        pages.app(),
        SURFACES[0].server,
        [RequestLog("DEBUG" if settings.log.debug else settings.log.level)],
        allowed_origins=settings.listen.allowed_origins,
        trusted_proxies=settings.listen.trusted_proxies,
    )


def _patience(settings: Settings) -> Patience:
    deadlines = settings.deadlines
    return Patience(
        deadlines.first_byte_stream,
        deadlines.first_byte_whole,
        deadlines.stall,
        FOREVER if deadlines.total is None else deadlines.total,
        deadlines.retries,
        deadlines.queue,
    )
