"""Makes accounts of settings: which upstream each is of, and what it shows there."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from moongate.catalog import real_name
from moongate.core.grant import Grant
from moongate.core.sealed import Sealed
from moongate.pool.account import Account
from moongate.pool.credentials import Credential, FixedKey
from moongate.pool.login import Login
from moongate.settings import AccountSetting, Settings
from moongate.simulator import simulator
from moongate.storage.grants import GrantFile, file_of
from moongate.storage.seal import Seal
from moongate.upstreams.chat_api import ChatApi
from moongate.upstreams.driver import Transport
from moongate.upstreams.kimi_code import kimi_code
from moongate.upstreams.kimi_code.login import Identity, command, renew
from moongate.upstreams.moonshot import moonshot
from moongate.upstreams.openai import provider
from moongate.upstreams.transport import AiohttpTransport
from moongate.wire.http import Flow

DEMO = AccountSetting(name="demo", upstream="simulator", credential=Sealed("sk-example-demo"), base_url=None)
"""What serves when no account is configured: the built-in simulator, which says that it is one."""


class Wiring:
    """Makes accounts, as often as settings change. A login stays the same object, and so is renewed by one only."""

    def __init__(self, transport: Transport, held: AsyncExitStack) -> None:
        self._transport = transport
        self._held = held
        self._simulator = ""
        self._logins: dict[Path, Login] = {}
        self._seals: dict[Sealed | None, Seal] = {}

    async def accounts(self, settings: Settings) -> tuple[Account, ...]:
        wanted = settings.accounts or (DEMO,)
        if not self._simulator and any(account.upstream == "simulator" and not account.base_url for account in wanted):
            self._simulator = (await self._held.enter_async_context(simulator())).url
        return tuple(self._account(setting, settings) for setting in wanted)

    async def close(self) -> None:
        """A renewal that is under way is let end: cut off, it may cost a login."""
        await asyncio.gather(*(login.close() for login in self._logins.values()))

    def _account(self, setting: AccountSetting, settings: Settings) -> Account:
        return Account(
            name=setting.name,
            upstream=self._upstream(setting, settings.user_agent),
            credential=self._credential(setting, settings),
            max_concurrency=setting.max_concurrency,
            rpm=setting.rpm,
            tpm=setting.tpm,
            models=frozenset(real_name(setting.upstream, model) for model in setting.models) or None,
        )

    def _upstream(self, setting: AccountSetting, user_agent: str) -> ChatApi:
        base_url = setting.base_url or f"{self._simulator}/v1"
        if setting.provider is not None:
            return provider(setting.provider, base_url, user_agent)
        if setting.upstream == "kimi-code":
            return kimi_code(base_url, user_agent)
        return moonshot(base_url, user_agent, setting.upstream)

    def _credential(self, setting: AccountSetting, settings: Settings) -> Credential:
        if setting.login is None:
            return FixedKey(setting.credential or Sealed(""))
        path = file_of(settings.home, setting.login)
        if path not in self._logins:
            self._logins[path] = self._login(path, setting.login, settings)
        return self._logins[path]

    def _login(self, path: Path, name: str, settings: Settings) -> Login:
        seal = self._seals.setdefault(settings.secret, Seal(settings.secret))  # one, as it takes its time for a key
        file = GrantFile(path, seal, oauth_host=settings.code_oauth_host)
        identity = Identity(settings.user_agent)

        def renewal(grant: Grant) -> Flow[Grant]:
            return renew(file.oauth_host, grant, identity)

        return Login(file, renewal, self._transport, again=command(name))


@asynccontextmanager
async def accounts_of(settings: Settings) -> AsyncIterator[tuple[tuple[Account, ...], AiohttpTransport]]:
    """The accounts without a gateway around them, and the way to their upstreams."""
    async with AsyncExitStack() as held:
        transport = await held.enter_async_context(AiohttpTransport())
        wiring = Wiring(transport, held)
        held.push_async_callback(wiring.close)
        yield await wiring.accounts(settings), transport


def upstreams_for_callers(settings: Settings) -> Mapping[str, ChatApi]:
    """Where the credentials that callers bring are used."""
    return {
        "moonshot": moonshot(settings.platform_url, settings.user_agent),
        "kimi-code": kimi_code(settings.code_url, settings.user_agent),
    }
