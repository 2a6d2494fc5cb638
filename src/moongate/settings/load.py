"""Reads every source once and builds the tree; after that nobody asks the environment again."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from moongate import __version__
from moongate.settings import table
from moongate.settings.accounts import accounts, logins_in
from moongate.settings.errors import mended_by
from moongate.settings.routes import models
from moongate.settings.sources import DOTENV, Source, Sources, command_line, dotenv, toml
from moongate.settings.tree import (
    AccountSetting,
    Callers,
    Deadlines,
    Listen,
    Log,
    Sessions,
    Settings,
    Site,
    Web,
)

UNSUPPORTED: Final = (
    *("RATE_LIMIT_WINDOW_MS", "RATE_LIMIT_MAX_REQUESTS"),
    "MOONGATE_REDIS_URL",
)
"""Known from the `.env` files of comparable projects. Nobody should believe in a limit that is not there."""

NOTHING: Final[Mapping[str, object]] = MappingProxyType({})

SESSION_LIFE: Final = 3600.0

FIRST_BYTE_OF_A_STREAM: Final = 60.0
FIRST_BYTE_OF_A_WHOLE: Final = 900.0
"""A whole reply says nothing until it is complete."""


def load(
    overrides: Mapping[str, object] = NOTHING, *, environ: Mapping[str, str] = os.environ, directory: Path = Path()
) -> Settings:
    """`overrides` are the command line's, by the names of the table. Raises SettingsError for the first thing wrong."""
    outside = (command_line(overrides), Source("environment", environ), dotenv(directory))
    named = Sources(outside).find(table.MOONGATE_CONFIG)
    with mended_by(directory / named.read_as(table.MOONGATE_CONFIG)):
        file = toml(named, directory)
        return _settings(Sources((*outside, file)), file, directory)


def _settings(sources: Sources, file: Source, directory: Path) -> Settings:
    home = directory / sources.read(table.MOONGATE_HOME)
    all_accounts = accounts(sources, file, directory, home)
    return Settings(
        accounts=all_accounts,
        platform_url=sources.read(table.KIMI_BASE_URL),
        code_url=sources.read(table.KIMI_API_BASE_URL),
        code_oauth_host=sources.read(table.KIMI_CODE_OAUTH_HOST),
        web=_web(sources),
        site=_site(sources),
        sessions=_sessions(sources),
        models=models(file, all_accounts),
        callers=_callers(sources, all_accounts),
        listen=_listen(sources),
        deadlines=_deadlines(sources),
        buffered=sources.read(table.MOONGATE_BUFFERED),
        log=_log(sources),
        home=home,
        secret=sources.read(table.MOONGATE_SECRET),
        unsupported=tuple(name for name in UNSUPPORTED if sources.variable(name)),
        user_agent=sources.read(table.USER_AGENT) or f"moongate/{__version__}",
        reload=sources.read(table.NODE_ENV) == "development",
        sources=_read_from(sources, directory, home, all_accounts),
    )


def home(
    overrides: Mapping[str, object] = NOTHING, *, environ: Mapping[str, str] = os.environ, directory: Path = Path()
) -> Path:
    """Where state lives, as far as can be told without the settings file, which may be broken. Raises SettingsError."""
    outside = Sources((command_line(overrides), Source("environment", environ), dotenv(directory)))
    return directory / outside.read(table.MOONGATE_HOME)


def _read_from(
    sources: Sources, directory: Path, home: Path, all_accounts: tuple[AccountSetting, ...]
) -> tuple[Path, ...]:
    files = (account.credential_file for account in all_accounts)
    config = directory / sources.read(table.MOONGATE_CONFIG)
    return (directory / DOTENV, config, logins_in(home), *dict.fromkeys(path for path in files if path))


def _callers(sources: Sources, all_accounts: tuple[AccountSetting, ...]) -> Callers:
    default_keys = sources.read(table.DEFAULT_AUTHKEYS)
    tokens_accepted = sources.read(table.CALLER_TOKENS)
    return Callers(
        master_key=sources.read(table.API_MASTER_KEY),
        default_keys=default_keys,
        valid_keys=sources.read(table.VALID_API_KEYS),
        required=sources.read(table.REQUIRE_API_KEY),
        tokens_accepted=bool(default_keys) or not all_accounts if tokens_accepted is None else tokens_accepted,
        public_models=sources.read(table.MOONGATE_PUBLIC_MODELS),
    )


def _web(sources: Sources) -> Web:
    return Web(
        base_url=sources.read(table.KIMI_WEB_BASE_URL),
        auth_url=sources.read(table.KIMI_WEB_AUTH_URL),
        dialect=sources.read(table.KIMI_WEB_DIALECT),
        citations=sources.read(table.KIMI_WEB_CITATIONS),
    )


def _site(sources: Sources) -> Site:
    return Site(
        length=sources.read(table.KIMI_SITE_MAX_LENGTH),
        pace=sources.read(table.KIMI_SITE_PACE),
        by_scraper=sources.read(table.KIMI_SITE_CLOUDSCRAPER),
    )


def _sessions(sources: Sources) -> Sessions:
    idle = sources.read(table.SESSION_CACHE_TTL)
    return Sessions(
        idle=idle or SESSION_LIFE,
        most=sources.read(table.MAX_SESSION_SIZE),
        by_user=idle is not None,
        database=sources.read(table.MOONGATE_DATABASE_URL),
    )


def _listen(sources: Sources) -> Listen:
    return Listen(
        host=sources.read(table.API_HOST),
        port=sources.read(table.API_PORT),
        max_body=sources.read(table.MOONGATE_MAX_BODY),
        allowed_origins=sources.read(table.ALLOWED_ORIGINS),
        trusted_proxies=sources.read(table.TRUSTED_PROXIES),
    )


def _deadlines(sources: Sources) -> Deadlines:
    first_byte = sources.read(table.REQUEST_TIMEOUT)
    return Deadlines(
        first_byte_stream=first_byte or FIRST_BYTE_OF_A_STREAM,
        first_byte_whole=first_byte or FIRST_BYTE_OF_A_WHOLE,
        stall=sources.read(table.MOONGATE_STALL_TIMEOUT),
        total=sources.read(table.MOONGATE_TOTAL_TIMEOUT),
        heartbeat=sources.read(table.MOONGATE_HEARTBEAT),
        queue=sources.read(table.MOONGATE_QUEUE_TIMEOUT) or 0.0,
        retries=sources.read(table.MAX_RETRIES),
    )


def _log(sources: Sources) -> Log:
    return Log(
        level=sources.read(table.LOG_LEVEL),
        format=sources.read(table.MOONGATE_LOG_FORMAT),
        debug=sources.read(table.DEBUG),
    )
