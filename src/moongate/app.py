"""The composition root: settings in, a running gateway out. The only module that imports everything."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from msgspec import Struct
from starlette.types import ASGIApp, Receive, Scope, Send

from moongate.beside import beside
from moongate.catalog import Catalog
from moongate.conversations.conversations import Conversations, Terms
from moongate.core.hosts import is_this_machine
from moongate.core.sealed import Sealed
from moongate.core.turn import Anchor
from moongate.discovery import Discovery
from moongate.dispatch import Dispatch, Patience
from moongate.gateway import Gateway
from moongate.http import openapi
from moongate.http.admin import Admin
from moongate.http.conversations import ConversationPages
from moongate.http.endpoint import Endpoint
from moongate.http.pages import Pages
from moongate.http.server import Server
from moongate.keeping import kept
from moongate.policy.keys import KeyPolicy, Keyring
from moongate.pool.errands import Errands
from moongate.pool.keeper import Keeper
from moongate.pool.own import OwnAccounts
from moongate.pool.pool import Pool
from moongate.settings import Settings
from moongate.storage.minted import minted_keys
from moongate.storage.owners import owners_salt
from moongate.surfaces import SURFACES, TWINS
from moongate.telemetry.log import RequestLog
from moongate.upstreams.driver import Transport
from moongate.upstreams.transport import AiohttpTransport
from moongate.upstreams.upstream import Remembers
from moongate.wiring import Wiring, way_of

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


class House(Struct, frozen=True):
    """What lives as long as the process. `way` is how upstreams are reached, for most of them by `transport`; `owners`
    is the salt by which callers are known again; `word` opens what only the operator may ask."""

    transport: AiohttpTransport
    way: Transport
    pool: Pool
    errands: Errands
    conversations: Conversations
    owners: bytes
    word: Sealed | None


class Running:
    """The gateway, and what can be asked of it from outside the requests.

    What lives as long as the process is made once: connections, the accounts' states, those who look after them. What
    follows from the settings is made anew by `take`.
    """

    def __init__(self, house: House, wiring: Wiring) -> None:
        self.app = Switch()
        self.pool = house.pool
        self.transport = house.transport
        self.conversations = house.conversations
        self.errands = house.errands
        self.is_demo = False
        self.catalog = Catalog(())
        self._house = house
        self._wiring = wiring
        self._discovery: Discovery | None = None

    async def take(self, settings: Settings, policy: KeyPolicy) -> None:
        """Serve by these settings from now on. Requests under way end by those they began with."""
        accounts = await self._wiring.accounts(settings)
        self.is_demo = not settings.accounts
        self.catalog = Catalog(accounts, {model.name: model.routes for model in settings.models}, self.catalog)
        discovery = Discovery(self.catalog, accounts, self._house.way)
        self.pool.adopt(accounts)
        self.conversations.terms = terms_of(settings)
        own = OwnAccounts(self._wiring.places(settings))
        self.app.turn_to(_server(settings, policy, own, discovery, self._house))
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
        way = await way_of(settings, held, transport)
        pool, errands = Pool(), Errands(way)
        held.push_async_callback(errands.close)
        conversations = Conversations(READERS, terms_of(settings), forget=partial(_forget, pool, errands))
        await held.enter_async_context(kept(conversations, settings.home, settings.sessions.database))
        wiring = Wiring(way, held)
        held.push_async_callback(wiring.close)
        house = House(transport, way, pool, errands, conversations, owners_salt(settings.home), word)
        gateway = Running(house, wiring)
        held.push_async_callback(gateway.close)
        await gateway.take(settings, policy)
        await held.enter_async_context(beside(Keeper(pool, way).run()))
        yield gateway


READERS = {surface.server.dialect: surface.server for surface in SURFACES}
"""Who reads what was said in a dialect."""


def terms_of(settings: Settings) -> Terms:
    """A conversation may become as large as a request that would say all of it at once."""
    sessions, total = settings.sessions, settings.deadlines.total
    return Terms(
        idle=sessions.idle,
        most=sessions.most,
        largest=settings.listen.max_body,
        patience=FOREVER if total is None else total,
    )


def _forget(pool: Pool, errands: Errands, anchor: Anchor) -> None:
    """A chat at an account that is here no more is nobody's to delete."""
    for account in (*pool.accounts, *pool.guests):
        is_there = (account.name, account.upstream.name) == (anchor.account, anchor.upstream)
        if is_there and isinstance(account.upstream, Remembers):
            errands.run(account, ("forget", partial(account.upstream.forget, anchor.chat)))


def _server(settings: Settings, policy: KeyPolicy, own: OwnAccounts, discovery: Discovery, house: House) -> Server:
    pool, conversations = house.pool, house.conversations
    keys = Keyring(policy, own.is_credential, house.owners)
    dispatch = Dispatch(pool, house.way, _patience(settings), house.errands)
    gateway = Gateway(
        keys,
        own,
        discovery,
        dispatch,
        conversations,
        buffered=settings.buffered,
        by_user=settings.sessions.by_user,
    )
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
        more=[
            *ConversationPages(conversations, keys, TWINS).routes(),
            *Admin(pool, tuple(key for key in (policy.master, house.word) if key is not None)).routes(),
        ],
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
