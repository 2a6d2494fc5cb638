"""The accounts that the environment's keys and the file's tables describe, with their credentials; and model routes."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from moongate.core.sealed import Sealed
from moongate.settings import kinds, table
from moongate.settings.errors import shown, unknown
from moongate.settings.kinds import UpstreamName
from moongate.settings.sources import Found, Source, Sources, contents, says_nothing
from moongate.settings.table import Setting
from moongate.settings.tree import AccountSetting, RouteSetting

T = TypeVar("T")

KEYS: Final[tuple[tuple[UpstreamName, Setting[tuple[Sealed, ...]]], ...]] = (
    ("moonshot", table.KIMI_API_KEY),
    ("kimi-code", table.KIMI_CODE_API_KEY),
)
TABLES: Final = Setting("", kinds.TABLES, None, "")
RESOLVED: Final = Setting("", kinds.CREDENTIAL, None, "")
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NO_SECRET: Final = Sealed("sk-example-simulator")
"""The simulator takes any key of the platform's shape."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One table of `[[accounts]]` or `[[models]]`, called by its name in errors, or by its position if it has none."""

    label: str
    values: Mapping[str, object]
    where: str

    def find(self, setting: Setting[object]) -> Found:
        value = self.values.get(setting.name)
        label = f"{self.label}.{setting.name}"
        return Found(label, None if says_nothing(value) else value, self.where, setting.kind.secret)

    def read(self, setting: Setting[T]) -> T:
        """Raises SettingsError."""
        return self.find(setting).read_as(setting)


def accounts(sources: Sources, file: Source, directory: Path) -> tuple[AccountSetting, ...]:
    """The environment's first, then the file's. Raises SettingsError."""
    bases: dict[UpstreamName, str | None] = {
        "moonshot": sources.read(table.KIMI_BASE_URL),
        "kimi-code": sources.read(table.KIMI_API_BASE_URL),
        "simulator": None,
    }
    every = {
        f"{upstream}-{number}": AccountSetting(
            name=f"{upstream}-{number}", upstream=upstream, credential=key, base_url=bases[upstream]
        )
        for upstream, keys in KEYS
        for number, key in enumerate(sources.read(keys), start=1)
    }
    for entry in _entries(file, "accounts", table.ACCOUNT):
        account = _account(entry, bases, sources, directory)
        if account.name in every:
            raise entry.find(table.ACCOUNT_NAME).refuse("is the name of another account")
        every[account.name] = account
    return tuple(every.values())


def models(file: Source) -> tuple[RouteSetting, ...]:
    """Raises SettingsError."""
    every: dict[str, RouteSetting] = {}
    for entry in _entries(file, "models", table.MODEL):
        model = RouteSetting(name=entry.read(table.MODEL_NAME), routes=entry.read(table.MODEL_ROUTES))
        if model.name in every:
            raise entry.find(table.MODEL_NAME).refuse("is the name of another model")
        every[model.name] = model
    return tuple(every.values())


def _entries(file: Source, name: str, rows: tuple[Setting[object], ...]) -> Iterator[Entry]:
    known = [row.name for row in rows]
    headed = Found(name, file.values.get(name, []), file.where).read_as(TABLES)
    for position, values in enumerate(headed, start=1):
        called = values.get("name")
        label = f"{name}[{f'#{position}' if says_nothing(called) else shown(called, secret=False)}]"
        for key in values:
            if key not in known:
                raise unknown(f"{label}.{key}", key, file.where, known)
        yield Entry(label, values, file.where)


def _account(
    entry: Entry, bases: Mapping[UpstreamName, str | None], sources: Sources, directory: Path
) -> AccountSetting:
    name, upstream = entry.read(table.ACCOUNT_NAME), entry.read(table.ACCOUNT_UPSTREAM)
    served = entry.read(table.ACCOUNT_MODELS)
    return AccountSetting(
        name=name,
        upstream=upstream,
        credential=_credential(entry, upstream, sources, directory),
        base_url=_base_url(entry, upstream) or bases[upstream],
        max_concurrency=entry.read(table.ACCOUNT_MAX_CONCURRENCY),
        models=served or (),
    )


def _base_url(entry: Entry, upstream: UpstreamName) -> str | None:
    address = entry.read(table.ACCOUNT_BASE_URL)
    return kinds.base_url_of_kimi_code(address) if address and upstream == "kimi-code" else address


def _credential(entry: Entry, upstream: UpstreamName, sources: Sources, directory: Path) -> Sealed:
    found = entry.find(table.ACCOUNT_CREDENTIAL)
    reference = found.read_as(table.ACCOUNT_CREDENTIAL)
    if reference is None:
        if upstream == "simulator":
            return NO_SECRET
        raise found.refuse(f"is missing and must be {table.ACCOUNT_CREDENTIAL.kind.allowed}")
    scheme, _, rest = reference.reveal().partition(":")
    match scheme:
        case "env":
            held = _variable(found, rest.strip(), sources)
        case "file":
            held = _file(found, rest.strip(), directory)
        case _:
            held = found
    return held.read_as(RESOLVED)


def _variable(found: Found, name: str, sources: Sources) -> Found:
    # A key written after "env:" by mistake is still a secret: variables are in capitals, keys are not.
    refusable = replace(found, secret=not name.isupper())
    if not VARIABLE.fullmatch(name):
        raise refusable.refuse("env: must be followed by the name of a variable")
    value = sources.variable(name)
    if value is None:
        raise refusable.refuse("this variable is not set")
    return replace(found, value=value, where=f"variable {name}")


def _file(found: Found, name: str, directory: Path) -> Found:
    refusable = replace(found, secret=False)
    try:
        path = directory / kinds.path(name)
    except ValueError:
        raise refusable.refuse("file: must be followed by a path") from None
    value = contents(path, found.label, refusable.line)
    if value is None:
        raise refusable.refuse("there is no such file")
    if says_nothing(value):
        raise refusable.refuse("this file is empty")
    return replace(found, value=value, where=f"file {path}")
