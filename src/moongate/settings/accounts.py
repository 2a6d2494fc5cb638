"""The accounts there are: of the environment's keys, of the file's tables, and of the logins kept in the home."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from moongate.core.sealed import Sealed
from moongate.settings import kinds, table, values
from moongate.settings.credentials import credential
from moongate.settings.entries import Entry, entries
from moongate.settings.kinds import UpstreamName
from moongate.settings.sources import Source, Sources
from moongate.settings.table import Setting
from moongate.settings.tree import AccountSetting

Bases: TypeAlias = Mapping[UpstreamName, str | None]
"""Where accounts are spoken to that do not say so themselves."""

KEYS: Final[tuple[tuple[UpstreamName, Setting[tuple[Sealed, ...]]], ...]] = (
    ("moonshot", table.KIMI_API_KEY),
    ("kimi-code", table.KIMI_CODE_API_KEY),
)


def accounts(sources: Sources, file: Source, directory: Path, home: Path) -> tuple[AccountSetting, ...]:
    """The environment's first, then the file's, then logins that none of these uses. Raises SettingsError."""
    bases: Bases = {
        "moonshot": sources.read(table.KIMI_BASE_URL),
        "kimi-code": sources.read(table.KIMI_API_BASE_URL),
        "openai": None,
        "simulator": None,
    }
    every = {
        f"{upstream}-{number}": AccountSetting(
            name=f"{upstream}-{number}", upstream=upstream, credential=key, base_url=bases[upstream]
        )
        for upstream, keys in KEYS
        for number, key in enumerate(sources.read(keys), start=1)
    }
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
        provider=_provider(entry, name, upstream),
        max_concurrency=entry.read(table.ACCOUNT_MAX_CONCURRENCY),
        rpm=entry.read(table.ACCOUNT_RPM),
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
