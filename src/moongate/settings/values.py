"""How single values are read from text or TOML. Each of these raises ValueError for what it does not accept."""

import math
import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from moongate.core.hosts import Network
from moongate.core.level import LEVELS, Level
from moongate.core.sealed import Sealed

T = TypeVar("T")

TRUTH: Final = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
LEVEL_SPELLINGS: Final[dict[str, Level]] = {level.lower(): level for level in LEVELS} | {"warn": "WARNING"}
"""`warn`, as Node's loggers spell it, is in many an `.env`."""
UNITS: Final[dict[str, int]] = {"": 1, "b": 1} | {
    spelling: base**power
    for power, letter in enumerate("kmg", start=1)
    # A bare letter counts as in nginx, so that the same words mean the same limit in both files.
    for spelling, base in ((letter, 1024), (f"{letter}ib", 1024), (f"{letter}b", 1000))
}
SIZE_PARTS: Final = re.compile(r"(\d+)\s*([a-z]*)")
PRINTABLE_ASCII: Final = re.compile(r"[ -~]+")
BEARER: Final = re.compile(r"bearer(\s+|$)", re.IGNORECASE)
HOST_NAME: Final = re.compile(r"(?=.*[a-z])[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.IGNORECASE)
ACCOUNT_NAMED: Final = re.compile(r"[a-z0-9._-]{1,64}")
ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d+)?")
NOT_IN_A_BASE_URL: Final = re.compile(r"[@?#\\\s]")
DATABASES: Final = frozenset({"sqlite", "sqlite+aiosqlite", "postgres", "postgresql", "postgresql+asyncpg"})
MODEL_NAMED: Final = re.compile(r"[!-~]{1,200}")


def checked(value: T | None) -> T:
    if value is None:
        raise ValueError("not allowed")
    return value


def matching(pattern: re.Pattern[str]) -> Callable[[object], str]:
    return lambda value: checked(pattern.fullmatch(text(value)))[0]


def text(value: object) -> str:
    return checked(value if isinstance(value, str) else None).strip()


def level(value: object) -> Level:
    return checked(LEVEL_SPELLINGS.get(text(value).lower()))


def truth(value: object) -> bool:
    return value if isinstance(value, bool) else checked(TRUTH.get(str(value).strip().lower()))


def seconds(value: object) -> float:
    number = float(str(value))  # by way of str: a whole number too large for a float becomes infinite, and is refused
    return number if 0 < number < math.inf else checked(None)


def seconds_or_off(value: object) -> float | None:
    spelling = str(value).strip().lower()
    return None if spelling == "off" or float(spelling) == 0 else seconds(spelling)


def pace(value: object) -> float:
    number = seconds_or_off(value) or 0.0
    return number if number < 1 else checked(None)


def database_url(value: object) -> Sealed:
    """There may be a password in it."""
    address = _printable(value)
    return Sealed(address) if address.partition(":")[0] in DATABASES else checked(None)


def size(value: object) -> int:
    parts = checked(SIZE_PARTS.fullmatch(str(value).strip().lower()))
    return int(parts[1]) * checked(UNITS.get(parts[2])) or checked(None)


def sealed(value: object) -> Sealed:
    return Sealed(_printable(value))


def reference(value: object) -> Sealed:
    """Not looked at yet: a path may hold any character; what it leads to is read as a credential."""
    return Sealed(text(value))


def credential(value: object) -> Sealed:
    return Sealed(_printable(BEARER.sub("", text(value), count=1)))


def path(value: object) -> Path:
    name = str(value) if isinstance(value, Path) else text(value)
    if not name or "\0" in name:
        raise ValueError("not a path")
    try:
        return Path(name).expanduser()
    except RuntimeError as error:  # "~name" of nobody on this machine
        raise ValueError("no such home") from error


def host(value: object) -> str:
    name = text(value).removeprefix("[").removesuffix("]")
    return name if HOST_NAME.fullmatch(name) else str(ip_address(name))


def network(value: object) -> Network:
    return ip_network(text(value), strict=False)


def origin(value: object) -> str:
    """Browsers send origins in lower case and without a slash at the end."""
    name = text(value).lower().removesuffix("/")
    return name if name == "*" or (ORIGIN.fullmatch(name) and _port_is_right(name)) else checked(None)


def base_url(value: object) -> str:
    address = text(value)
    parts = urlsplit(address)
    plain = address.isprintable() and not NOT_IN_A_BASE_URL.search(address)
    reachable = parts.scheme in {"http", "https"} and parts.hostname and _port_is_right(address)
    return address.rstrip("/") if plain and reachable else checked(None)


def base_url_of_kimi_code(value: object) -> str:
    address = base_url(value)
    return address if address.endswith("/v1") else f"{address}/v1"


def route(value: object) -> str:
    """Whether there is such an upstream is not looked at yet: it may be an account."""
    upstream, _, model = text(value).partition("/")
    return f"{account_name(upstream)}/{checked(MODEL_NAMED.fullmatch(model))[0]}"


def account_name(value: object) -> str:
    return checked(ACCOUNT_NAMED.fullmatch(text(value).lower()))[0]


def tables(value: object) -> tuple[dict[str, object], ...]:
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        raise ValueError("not tables")
    return tuple(value)


def _printable(value: object) -> str:
    return checked(PRINTABLE_ASCII.fullmatch(text(value)))[0]


def _port_is_right(address: str) -> bool:
    port = urlsplit(address).port  # raises ValueError for what is no port
    return port is None or port > 0
