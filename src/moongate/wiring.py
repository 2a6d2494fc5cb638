"""Makes accounts of settings: which upstream each is of, and what it shows there."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ParamSpec

from moongate.catalog import real_name
from moongate.core.grant import Grant
from moongate.core.sealed import Sealed
from moongate.pool.account import Account
from moongate.pool.credentials import Credential, FixedKey
from moongate.pool.login import Login
from moongate.pool.own import Place, Use, by_key
from moongate.settings import AccountSetting, Settings
from moongate.settings.tree import Web
from moongate.simulator import simulator
from moongate.storage.grants import GrantFile, Seeded, file_of, file_of_token
from moongate.storage.seal import Seal
from moongate.upstreams.driver import Transport
from moongate.upstreams.junction import Junction
from moongate.upstreams.kimi_code import kimi_code
from moongate.upstreams.kimi_code.login import Identity, command, renew
from moongate.upstreams.kimi_site import NAME as SITE
from moongate.upstreams.kimi_site import KimiSite
from moongate.upstreams.kimi_web import first, kimi_web
from moongate.upstreams.kimi_web import renew as renew_web
from moongate.upstreams.kimi_web.claims import bare, claims_of
from moongate.upstreams.moonshot import moonshot
from moongate.upstreams.openai import provider
from moongate.upstreams.scraping import ScraperTransport, is_installed
from moongate.upstreams.transport import AiohttpTransport
from moongate.upstreams.upstream import Upstream
from moongate.wire.http import Flow

DEMO = AccountSetting(name="demo", upstream="simulator", credential=Sealed("sk-example-demo"), base_url=None)
"""What serves when no account is configured: the built-in simulator, which says that it is one."""

MOST_BROUGHT = 1000
"""Web logins that callers brought and that are kept in hand; one that is put down is read anew when it comes again."""

P = ParamSpec("P")

DEFAULT_SITE = "https://www.kimi.com"
"""Where nothing else was configured."""

HOSTS = {"kimi.ai": ("https://www.kimi.ai", "https://auth.kimi.ai")}
"""Where a web token belongs that says whose it is; seen in those of the site for the rest of the world (2026-09)."""


class Wiring:
    """Makes accounts, as often as settings change. A login stays the same object, and so is renewed by one only; so
    does what was learned of a site."""

    def __init__(self, transport: Transport, held: AsyncExitStack) -> None:
        self._transport = transport
        self._held = held
        self._simulator = ""
        self._logins: dict[Path, Login] = {}
        self._guests: OrderedDict[Path, Login] = OrderedDict()
        self._leaving: set[asyncio.Future[None]] = set()
        self._seals: dict[Sealed | None, Seal] = {}
        self._sites: dict[tuple[object, ...], Upstream] = {}

    async def accounts(self, settings: Settings) -> tuple[Account, ...]:
        wanted = settings.accounts or (DEMO,)
        if not self._simulator and any(account.upstream == "simulator" and not account.base_url for account in wanted):
            self._simulator = (await self._held.enter_async_context(simulator())).url
        return tuple(self._account(setting, settings) for setting in wanted)

    def places(self, settings: Settings) -> Mapping[str, Place]:
        """Where the credentials that callers bring are used."""
        return {
            "moonshot": by_key(moonshot(settings.platform_url, settings.user_agent)),
            "kimi-code": by_key(kimi_code(settings.code_url, settings.user_agent)),
            "kimi-web": partial(self._brought, settings),
        }

    async def close(self) -> None:
        """A renewal that is under way is let end: cut off, it may cost a login."""
        logins = (*self._logins.values(), *self._guests.values())
        await asyncio.gather(*(login.close() for login in logins), *self._leaving)

    def _account(self, setting: AccountSetting, settings: Settings) -> Account:
        return Account(
            name=setting.name,
            upstream=self._upstream(setting, settings),
            credential=self._credential(setting, settings),
            max_concurrency=setting.max_concurrency,
            rpm=setting.rpm,
            tpm=setting.tpm,
            models=frozenset(real_name(setting.upstream, model) for model in setting.models) or None,
        )

    def _upstream(self, setting: AccountSetting, settings: Settings) -> Upstream:
        base_url = setting.base_url or f"{self._simulator}/v1"
        if setting.provider is not None:
            return provider(setting.provider, base_url, settings.user_agent)
        match setting.upstream:
            case "kimi-code":
                return kimi_code(base_url, settings.user_agent)
            case "kimi-web":
                web = settings.web
                return self._web(_hosts_of(setting, web)[0], replace(web, dialect=setting.dialect), settings)
            case "kimi-site":
                site = settings.site
                return self._same(KimiSite, base_url, settings.user_agent, site.pace, length=site.length)
            case _:
                return moonshot(base_url, settings.user_agent, setting.upstream)

    def _web(self, base_url: str, web: Web, settings: Settings) -> Upstream:
        return self._same(kimi_web, base_url, settings.user_agent, web.dialect, web.citations)

    def _same(self, make: Callable[P, Upstream], *args: P.args, **named: P.kwargs) -> Upstream:
        """What was made of these before: it may have learned something."""
        what = (make, *args, *named.items())
        if what not in self._sites:
            self._sites[what] = make(*args, **named)
        return self._sites[what]

    def _credential(self, setting: AccountSetting, settings: Settings) -> Credential:
        if setting.login is not None:
            path = file_of(settings.home, setting.login)
            if path not in self._logins:
                self._logins[path] = self._login(path, setting.login, settings)
            return self._logins[path]
        key = setting.credential or Sealed("")
        if setting.upstream != "kimi-web":
            return FixedKey(key)
        token = Sealed(bare(key.reveal()))
        base_url, auth_url = _hosts_of(setting, settings.web)
        if _is_access(token):
            return FixedKey(token)
        path = file_of_token(settings.home, token)
        if path not in self._logins:
            self._logins[path] = self._web_login(path, token, setting.name, base_url, auth_url, settings)
        return self._logins[path]

    def _brought(self, settings: Settings, brought: Sealed) -> Use:
        token, web = Sealed(bare(brought.reveal())), settings.web
        base_url, auth_url = _hosts(token, web.base_url, web.auth_url)
        upstream = self._web(base_url, web, settings)
        if _is_access(token):
            return Use(upstream, FixedKey(token), max_concurrency=1)
        path = file_of_token(settings.home, token)
        login = self._logins.get(path) or self._guests.get(path)
        if login is None:
            name = f"of a caller {token}"
            login = self._web_login(path, token, name, base_url, auth_url, settings, lock=f"brought-{path.name[:2]}")
        if path not in self._logins:
            self._keep_guest(path, login)
        return Use(upstream, login, max_concurrency=1)

    def _keep_guest(self, path: Path, login: Login) -> None:
        self._guests[path] = login
        self._guests.move_to_end(path)
        if len(self._guests) > MOST_BROUGHT:
            _, gone = self._guests.popitem(last=False)
            self._leaving.add(leaving := asyncio.ensure_future(gone.close()))
            leaving.add_done_callback(self._leaving.discard)

    def _login(self, path: Path, name: str, settings: Settings) -> Login:
        file = GrantFile(path, self._seal(settings), oauth_host=settings.code_oauth_host)
        identity = Identity(settings.user_agent)

        def renewal(grant: Grant) -> Flow[Grant]:
            return renew(file.oauth_host, grant, identity)

        return Login(file, renewal, self._transport, again=f"run `{command(name)}`")

    def _web_login(
        self,
        path: Path,
        token: Sealed,
        name: str,
        base_url: str,
        auth_url: str,
        settings: Settings,
        *,
        lock: str = "",
    ) -> Login:
        file = GrantFile(path, self._seal(settings), upstream="kimi-web", oauth_host=auth_url, lock=lock)
        store = Seeded(file, first(token.reveal()), name)

        def renewal(grant: Grant) -> Flow[Grant]:
            return renew_web(auth_url, base_url, grant, settings.user_agent)

        return Login(store, renewal, self._transport, again=f"copy a new refresh token from {base_url}")

    def _seal(self, settings: Settings) -> Seal:
        return self._seals.setdefault(settings.secret, Seal(settings.secret))  # one, as it takes its time for a key


def _hosts_of(setting: AccountSetting, web: Web) -> tuple[str, str]:
    return _hosts(setting.credential, setting.base_url or web.base_url, setting.auth_url or web.auth_url)


def _hosts(token: Sealed | None, base_url: str, auth_url: str) -> tuple[str, str]:
    """The site and its login server: what the token says of itself, where nothing else was configured."""
    claims = claims_of(token.reveal()) if token else None
    if base_url != DEFAULT_SITE or claims is None:
        return base_url, auth_url
    return next((HOSTS[site] for site in claims.audience if site in HOSTS), (base_url, auth_url))


async def way_of(settings: Settings, held: AsyncExitStack, transport: Transport) -> Transport:
    """How upstreams are reached: by `transport`, but the third-party site by the library made for such sites, where it
    is wanted and installed. Raises ValueError where it is wanted and not installed."""
    has_site = any(account.upstream == SITE for account in settings.accounts)
    wanted = settings.site.by_scraper
    if not has_site or wanted is False or (wanted is None and not is_installed()):
        return transport
    return Junction(transport, {SITE: await held.enter_async_context(ScraperTransport())})


def _is_access(token: Sealed) -> bool:
    """What is neither called this nor that is taken for a refresh token, as that can be tried and found wrong."""
    claims = claims_of(token.reveal())
    return claims is not None and claims.kind == "access"


@asynccontextmanager
async def accounts_of(settings: Settings) -> AsyncIterator[tuple[tuple[Account, ...], Transport]]:
    """The accounts without a gateway around them, and the way to their upstreams."""
    async with AsyncExitStack() as held:
        transport = await way_of(settings, held, await held.enter_async_context(AiohttpTransport()))
        wiring = Wiring(transport, held)
        held.push_async_callback(wiring.close)
        yield await wiring.accounts(settings), transport
