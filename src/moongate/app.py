"""The composition root: settings in, a running gateway out. The only module that imports everything."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct
from starlette.types import ASGIApp

from moongate.catalog import Catalog, real_name
from moongate.core.sealed import Sealed
from moongate.discovery import Discovery
from moongate.dispatch import Dispatch, Patience
from moongate.gateway import Gateway
from moongate.http import openapi
from moongate.http.endpoint import Endpoint
from moongate.http.pages import Pages
from moongate.http.server import Server
from moongate.policy.keys import KeyPolicy, Keyring
from moongate.policy.mint import minted_keys
from moongate.pool.account import Account
from moongate.pool.own import OwnAccounts
from moongate.pool.pool import Pool
from moongate.settings import AccountSetting, Settings
from moongate.simulator import simulator
from moongate.surfaces import SURFACES, TWINS
from moongate.telemetry.log import RequestLog
from moongate.upstreams.chat_api import ChatApi
from moongate.upstreams.kimi_code import kimi_code
from moongate.upstreams.moonshot import moonshot
from moongate.upstreams.transport import AiohttpTransport

LOOPBACK = ("127.0.0.1", "localhost", "::1")

DEMO = AccountSetting(name="demo", upstream="simulator", credential=Sealed("sk-example-demo"), base_url=None)
"""What serves when no account is configured: the built-in simulator, which says that it is one."""

FOREVER = 10 * 365 * 24 * 3600.0


class Running(Struct, frozen=True):
    """The gateway and what can be asked of it from outside the requests."""

    app: ASGIApp
    catalog: Catalog
    pool: Pool
    transport: AiohttpTransport
    is_demo: bool


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
    far = settings.listen.host not in LOOPBACK
    required = far or callers.required or bool(callers.master_key or callers.default_keys)
    policy = KeyPolicy(master=callers.master_key, keys=keys, required=required, tokens_accepted=callers.tokens_accepted)
    if not required or keys or callers.master_key:
        return Doors(policy, None)
    minted, new_key = minted_keys(settings.home)
    return Doors(
        KeyPolicy(minted=minted.digests, salt=minted.salt, required=True, tokens_accepted=callers.tokens_accepted),
        new_key,
    )


@asynccontextmanager
async def running(settings: Settings, policy: KeyPolicy) -> AsyncIterator[Running]:
    """The gateway, with everything it needs, until the block ends."""
    async with AsyncExitStack() as held:
        wanted = settings.accounts or (DEMO,)
        simulated = ""
        if any(account.upstream == "simulator" and not account.base_url for account in wanted):
            simulated = (await held.enter_async_context(simulator())).url
        accounts = tuple(_account(setting, settings.user_agent, simulated) for setting in wanted)
        transport = await held.enter_async_context(AiohttpTransport())
        catalog = Catalog(accounts, {model.name: model.routes for model in settings.models})
        discovery = Discovery(catalog, accounts, transport)
        held.push_async_callback(discovery.close)
        pool = Pool(accounts)
        own = OwnAccounts(_upstreams_for_callers(settings))
        keys = Keyring(policy, own.is_credential)
        dispatch = Dispatch(pool, transport, _patience(settings))
        gateway = Gateway(keys, own, discovery, dispatch)
        app = _server(settings, gateway, discovery, keys, own)
        discovery.start()
        yield Running(app, catalog, pool, transport, not settings.accounts)


def _server(settings: Settings, gateway: Gateway, discovery: Discovery, keys: Keyring, own: OwnAccounts) -> Server:
    heartbeat, max_body = settings.deadlines.heartbeat, settings.listen.max_body
    endpoints: Mapping[str, ASGIApp] = {
        surface.path: Endpoint(surface.server, gateway, heartbeat=heartbeat, max_body=max_body) for surface in SURFACES
    }
    pages = Pages(
        discovery,
        keys,
        own,
        openapi.document(endpoints, TWINS),
        TWINS,
        SURFACES[0].server,
        public_models=settings.callers.public_models,
    )
    return Server(
        endpoints,
        pages.app(),
        SURFACES[0].server,
        [RequestLog("DEBUG" if settings.log.debug else settings.log.level)],
        allowed_origins=settings.listen.allowed_origins,
        trusted_proxies=settings.listen.trusted_proxies,
    )


def _account(setting: AccountSetting, user_agent: str, simulated: str) -> Account:
    return Account(
        name=setting.name,
        upstream=_upstream(setting.upstream, setting.base_url or f"{simulated}/v1", user_agent),
        credential=setting.credential,
        max_concurrency=setting.max_concurrency,
        models=frozenset(real_name(setting.upstream, model) for model in setting.models) or None,
    )


def _upstream(name: str, base_url: str, user_agent: str) -> ChatApi:
    if name == "kimi-code":
        return kimi_code(base_url, user_agent)
    return moonshot(base_url, user_agent, name)


def _upstreams_for_callers(settings: Settings) -> Mapping[str, ChatApi]:
    return {
        "moonshot": moonshot(settings.platform_url, settings.user_agent),
        "kimi-code": kimi_code(settings.code_url, settings.user_agent),
    }


def _patience(settings: Settings) -> Patience:
    deadlines = settings.deadlines
    return Patience(
        deadlines.first_byte_stream,
        deadlines.first_byte_whole,
        deadlines.stall,
        FOREVER if deadlines.total is None else deadlines.total,
        deadlines.retries,
    )
