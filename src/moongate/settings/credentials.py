"""What an account of the file sends as its credential: a key, wherever it stands, or what a login gets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from moongate.core.sealed import Sealed
from moongate.settings import kinds, table, values
from moongate.settings.entries import Entry
from moongate.settings.errors import mended_by
from moongate.settings.kinds import UpstreamName
from moongate.settings.sources import Found, Sources, contents, says_nothing
from moongate.settings.table import Setting

RESOLVED: Final = Setting("", kinds.CREDENTIAL, None, "")
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

UNLESS_SAID: Final[Mapping[UpstreamName, Sealed]] = {
    "simulator": Sealed("sk-example-simulator"),  # it takes any key of the platform's shape
    "openai": Sealed(""),  # a server on one's own machine needs none
    "kimi-site": Sealed(""),
}


@dataclass(frozen=True, slots=True)
class Credential:
    """Either the `key` or the name of the `login`. `file` is where the key was read, if in a file of its own."""

    key: Sealed | None
    login: str | None = None
    file: Path | None = None


def credential(entry: Entry, account: str, upstream: UpstreamName, sources: Sources, directory: Path) -> Credential:
    """Raises SettingsError."""
    found = entry.find(table.ACCOUNT_CREDENTIAL)
    reference = found.read_as(table.ACCOUNT_CREDENTIAL)
    if reference is None:
        if upstream in UNLESS_SAID:
            return Credential(UNLESS_SAID[upstream])
        raise found.refuse(f"is missing and must be {table.ACCOUNT_CREDENTIAL.kind.allowed}")
    scheme, colon, rest = reference.reveal().partition(":")
    match scheme:
        case "env":
            return Credential(_variable(found, rest.strip(), sources).read_as(RESOLVED))
        case "file":
            path = _path(found, rest.strip(), directory)
            with mended_by(path):
                return Credential(_content(found, path).read_as(RESOLVED), file=path)
        case "login":
            return Credential(None, login=_login(found, rest if colon else account, upstream))
        case _:
            return Credential(found.read_as(RESOLVED))


def _variable(found: Found, name: str, sources: Sources) -> Found:
    # A key written after "env:" by mistake is still a secret: variables are in capitals, keys are not.
    refusable = replace(found, secret=not name.isupper())
    if not VARIABLE.fullmatch(name):
        raise refusable.refuse("env: must be followed by the name of a variable")
    value = sources.variable(name)
    if value is None:
        raise refusable.refuse("this variable is not set")
    return replace(found, value=value, where=f"variable {name}")


def _path(found: Found, name: str, directory: Path) -> Path:
    try:
        return directory / values.path(name)
    except ValueError:
        raise replace(found, secret=False).refuse("file: must be followed by a path") from None


def _content(found: Found, path: Path) -> Found:
    refusable = replace(found, secret=False)
    value = contents(path, found.label, refusable.line)
    if value is None:
        raise refusable.refuse("there is no such file")
    if says_nothing(value):
        raise refusable.refuse("this file is empty")
    return replace(found, value=value, where=f"file {path}")


def _login(found: Found, name: str, upstream: UpstreamName) -> str:
    if upstream != "kimi-code":
        raise found.refuse("login is only for accounts of upstream kimi-code")
    try:
        return values.account_name(name)
    except ValueError:
        raise found.refuse(f"login: must be followed by {kinds.ACCOUNT_NAME.allowed}") from None
