"""The accounts there are: of the environment's keys, of the file's tables, and of the logins kept in the home."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from moongate.core.sealed import Sealed
from moongate.settings import kinds, table, values
from moongate.settings.credentials import credential
from moongate.settings.entries import Entry, entries
from moongate.settings.kinds import UpstreamName, WebDialect
from moongate.settings.sources import Source, Sources
from moongate.settings.table import Setting
from moongate.settings.tree import AccountSetting

T = TypeVar("T")

Bases: TypeAlias = Mapping[UpstreamName, str | None]
"""Where accounts are spoken to that do not say so themselves."""

KEYS: Final[tuple[tuple[UpstreamName, Setting[tuple[Sealed, ...]]], ...]] = (
    ("moonshot", table.KIMI_API_KEY),
    ("kimi-code", table.KIMI_CODE_API_KEY),
    ("kimi-web", table.KIMI_TOKENS),
)

GENTLY: Final[frozenset[UpstreamName]] = frozenset({"kimi-web", "kimi-site"})
"""Upstreams made for people: their accounts are asked one thing at a time, and not too often."""

GENTLE_RPM: Final = 20


def accounts(sources: Sources, file: Source, directory: Path, home: Path) -> tuple[AccountSetting, ...]:
    """The environment's first, then the file's, then logins that none of these uses. Raises SettingsError."""
    bases: Bases = {
        "moonshot": sources.read(table.KIMI_BASE_URL),
        "kimi-code": sources.read(table.KIMI_API_BASE_URL),
        "kimi-web": sources.read(table.KIMI_WEB_BASE_URL),
        "kimi-site": sources.read(table.KIMI_SITE_BASE_URL),
        "openai": None,
        "simulator": None,
    }
    every = {account.name: account for account in _of_the_environment(sources, bases)}
    for entry in entries(file, "accounts", table.ACCOUNT):
        account = _account(entry, bases, sources, directory)
        if account.name in every:
            raise entry.find(table.ACCOUNT_NAME).refuse("is the name of another account")
        every[account.name] = account
    used = {account.login for account in every.values()}
    for name in _logins(logins_in(home)):
        if name not in used and name not in every:
            every[name] = AccountSetting(
                name=name, upstream="kimi-code", credential=None, login=name, base_url=bases["kimi-code"]
            )
    return tuple(every.values())


def _of_the_environment(sources: Sources, bases: Bases) -> Iterable[AccountSetting]:
    for upstream, keys in KEYS:
        for number, key in enumerate(sources.read(keys), start=1):
            yield _usual(f"{upstream}-{number}", upstream, key, bases, sources)
    if sources.read(table.KIMI_SITE_ENABLED):
        yield _usual("kimi-site", "kimi-site", Sealed(""), bases, sources)


def _usual(name: str, upstream: UpstreamName, credential: Sealed, bases: Bases, sources: Sources) -> AccountSetting:
    is_web, is_gentle = upstream == "kimi-web", upstream in GENTLY
    return AccountSetting(
        name=name,
        upstream=upstream,
        credential=credential,
        base_url=bases[upstream],
        auth_url=sources.read(table.KIMI_WEB_AUTH_URL) if is_web else None,
        dialect=sources.read(table.KIMI_WEB_DIALECT),
        max_concurrency=1 if is_gentle else None,
        rpm=GENTLE_RPM if is_gentle else None,
    )


def logins_in(home: Path) -> Path:
    """The folder where logins are kept, each in a file `NAME.json`."""
    return home / "credentials"


def _account(entry: Entry, bases: Bases, sources: Sources, directory: Path) -> AccountSetting:
    name, upstream = entry.read(table.ACCOUNT_NAME), entry.read(table.ACCOUNT_UPSTREAM)
    sent = credential(entry, name, upstream, sources, directory)
    served = entry.read(table.ACCOUNT_MODELS)
    return AccountSetting(
        name=name,
        upstream=upstream,
        credential=sent.key,
        login=sent.login,
        credential_file=sent.file,
        base_url=_base_url(entry, upstream, bases),
        auth_url=_auth_url(entry, upstream, sources),
        dialect=_dialect(entry, upstream, sources),
        provider=_provider(entry, name, upstream),
        max_concurrency=entry.read(table.ACCOUNT_MAX_CONCURRENCY) or (1 if upstream in GENTLY else None),
        rpm=entry.read(table.ACCOUNT_RPM) or (GENTLE_RPM if upstream in GENTLY else None),
        tpm=entry.read(table.ACCOUNT_TPM),
        models=served or (),
    )


def _base_url(entry: Entry, upstream: UpstreamName, bases: Bases) -> str | None:
    found = entry.find(table.ACCOUNT_BASE_URL)
    address = found.read_as(table.ACCOUNT_BASE_URL)
    if address is None and upstream == "openai":
        raise found.refuse(f"is missing and must be {table.ACCOUNT_BASE_URL.kind.allowed}")
    if address and upstream == "kimi-code":
        return values.base_url_of_kimi_code(address)
    return address or bases[upstream]


def _auth_url(entry: Entry, upstream: UpstreamName, sources: Sources) -> str | None:
    """The two hosts of one site belong together: www.kimi.ai and auth.kimi.ai."""
    said = _only_of_web(entry, table.ACCOUNT_AUTH_URL, upstream)
    if upstream != "kimi-web" or said:
        return said
    base = entry.read(table.ACCOUNT_BASE_URL) or ""
    beside = base.replace("://www.", "://auth.", 1)
    return beside if beside != base else sources.read(table.KIMI_WEB_AUTH_URL)


def _dialect(entry: Entry, upstream: UpstreamName, sources: Sources) -> WebDialect:
    said = _only_of_web(entry, table.ACCOUNT_DIALECT, upstream)
    return sources.read(table.KIMI_WEB_DIALECT) if said is None else said


def _only_of_web(entry: Entry, setting: Setting[T], upstream: UpstreamName) -> T:
    found = entry.find(setting)
    value = found.read_as(setting)
    if value is not None and upstream != "kimi-web":
        raise found.refuse("is only for accounts of upstream kimi-web")
    return value


def _provider(entry: Entry, account: str, upstream: UpstreamName) -> str | None:
    found = entry.find(table.ACCOUNT_PROVIDER)
    provider = found.read_as(table.ACCOUNT_PROVIDER)
    if upstream != "openai":
        if provider is not None:
            raise found.refuse("is only for accounts of upstream openai")
        return None
    others = set(kinds.UPSTREAM_NAMES) - {upstream}
    if provider in others:
        raise found.refuse("is the name of another upstream")
    if provider is None and account in others:
        raise found.refuse("is missing, and cannot be the account's name, which is that of another upstream")
    return provider or account


def _logins(folder: Path) -> Iterable[str]:
    """Those in `folder`; what lies there under a name that no account may have is let be."""
    stems = sorted(path.stem for path in folder.glob("[!.]*.json"))
    return (stem for stem in stems if values.ACCOUNT_NAMED.fullmatch(stem))
