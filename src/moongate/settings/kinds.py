"""The kinds of value a setting can have: how each is read from text or TOML, and what a person is told is allowed.

A kind's `parse` raises ValueError for what it does not accept; the words come from `allowed`.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from moongate.core.sealed import Sealed

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Word = TypeVar("Word", bound=str)

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LogFormat = Literal["auto", "json", "text"]
UpstreamName = Literal["moonshot", "kimi-code", "simulator"]
Network = IPv4Network | IPv6Network

LEVELS: Final[tuple[Level, ...]] = get_args(Level)
LOG_FORMATS: Final[tuple[LogFormat, ...]] = get_args(LogFormat)
UPSTREAM_NAMES: Final[tuple[UpstreamName, ...]] = get_args(UpstreamName)

TRUTH: Final = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
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
MODEL_NAMED: Final = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T_co]):
    allowed: str
    parse: Callable[[object], T_co]
    secret: bool = False


class PieceError(ValueError):
    """One piece of a list is wrong: the error shows this piece, not the whole list."""

    def __init__(self, piece: object) -> None:
        super().__init__("refused")
        self.piece = piece


# Kinds of kinds


def optional(kind: Kind[T]) -> Kind[T | None]:
    return Kind(kind.allowed, lambda value: None if value is None else kind.parse(value), kind.secret)


def one_of(words: Sequence[Word], allowed: str) -> Kind[Word]:
    by_spelling = {word.lower(): word for word in words}
    return Kind(allowed, lambda value: _checked(by_spelling.get(text(value).lower())))


def level(value: object) -> Level:
    """`warn`, as Node's loggers spell it, is in many an `.env`."""
    spelled = text(value).upper()
    return one_of(LEVELS, "").parse("WARNING" if spelled == "WARN" else spelled)


def listed(item: Kind[T], allowed: str, *, empty: bool = True) -> Kind[tuple[T, ...]]:
    """Written with commas, or as a TOML list; blanks, empty items and repetitions do not count."""

    def parse(value: object) -> tuple[T, ...]:
        items = tuple(dict.fromkeys(_item(item, piece) for piece in _pieces(value)))
        if not items and not empty:
            raise ValueError("empty")
        return items

    return Kind(allowed, parse, item.secret)


def whole_number(allowed: str, low: int, high: float = math.inf) -> Kind[int]:
    def parse(value: object) -> int:
        number = int(str(value))  # by way of str: TOML's true is not 1, and 1.5 is not 1
        return number if low <= number <= high else _checked(None)

    return Kind(allowed, parse)


def _checked(value: T | None) -> T:
    if value is None:
        raise ValueError("not allowed")
    return value


def _item(kind: Kind[T], piece: object) -> T:
    try:
        return kind.parse(piece)
    except ValueError:
        raise PieceError(piece) from None


def _pieces(value: object) -> list[object]:
    pieces: Sequence[object]
    match value:
        case str():
            pieces = value.split(",")
        case list() | tuple():
            pieces = value
        case _:
            raise ValueError("not a list")
    trimmed = [piece.strip() if isinstance(piece, str) else piece for piece in pieces]
    return [piece for piece in trimmed if piece != ""]


# How single values are read


def text(value: object) -> str:
    return _checked(value if isinstance(value, str) else None).strip()


def truth(value: object) -> bool:
    return value if isinstance(value, bool) else _checked(TRUTH.get(str(value).strip().lower()))


def seconds(value: object) -> float:
    number = float(str(value))  # by way of str: a whole number too large for a float becomes infinite, and is refused
    return number if 0 < number < math.inf else _checked(None)


def seconds_or_off(value: object) -> float | None:
    spelling = str(value).strip().lower()
    return None if spelling == "off" or float(spelling) == 0 else seconds(spelling)


def size(value: object) -> int:
    parts = _checked(SIZE_PARTS.fullmatch(str(value).strip().lower()))
    return int(parts[1]) * _checked(UNITS.get(parts[2])) or _checked(None)


def matching(pattern: re.Pattern[str]) -> Callable[[object], str]:
    return lambda value: _checked(pattern.fullmatch(text(value)))[0]


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
    return name if name == "*" or (ORIGIN.fullmatch(name) and _port_is_right(name)) else _checked(None)


def base_url(value: object) -> str:
    address = text(value)
    parts = urlsplit(address)
    plain = address.isprintable() and not NOT_IN_A_BASE_URL.search(address)
    reachable = parts.scheme in {"http", "https"} and parts.hostname and _port_is_right(address)
    return address.rstrip("/") if plain and reachable else _checked(None)


def base_url_of_kimi_code(value: object) -> str:
    address = base_url(value)
    return address if address.endswith("/v1") else f"{address}/v1"


def route(value: object) -> str:
    upstream, _, model = text(value).partition("/")
    return text(value) if upstream in UPSTREAM_NAMES and MODEL_NAMED.fullmatch(model) else _checked(None)


def account_name(value: object) -> str:
    return _checked(ACCOUNT_NAMED.fullmatch(text(value).lower()))[0]


def tables(value: object) -> tuple[dict[str, object], ...]:
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        raise ValueError("not tables")
    return tuple(value)


def _printable(value: object) -> str:
    return _checked(PRINTABLE_ASCII.fullmatch(text(value)))[0]


def _port_is_right(address: str) -> bool:
    port = urlsplit(address).port  # raises ValueError for what is no port
    return port is None or port > 0


# The kinds

A_LIST_OF = "a comma-separated list of"
UPSTREAMS_ALLOWED: Final = "one of moonshot, kimi-code, simulator"

YES_NO = Kind("true, false, yes, no, on, off, 1 or 0", truth)
PORT = whole_number("a port from 0 to 65535", 0, 65535)
COUNT = whole_number("a whole number above 0", 1)
RETRIES = whole_number("a whole number from 0 to 20", 0, 20)
SECONDS = Kind("a number of seconds above 0", seconds)
SECONDS_OR_OFF = Kind("a number of seconds, or 0 or off for none", seconds_or_off)
SIZE = Kind("a number of bytes above 0, also written like 512k, 20MiB or 1GB", size)
LEVEL = Kind("DEBUG, INFO, WARNING or ERROR", level)
LOG_FORMAT = one_of(LOG_FORMATS, "auto, json or text")
ANY_TEXT = Kind("any text", text)
HEADER = Kind("one line of printable ASCII characters", matching(PRINTABLE_ASCII))
PATH = Kind("a path", path)
HOST = Kind("a host name or an IP address, without scheme and port", host)
NETWORKS = listed(Kind("", network), f"{A_LIST_OF} IP addresses or CIDR ranges such as 10.0.0.0/8")
ORIGINS = listed(Kind("", origin), f"{A_LIST_OF} origins such as https://example.com:8443, or *")
BASE_URL = Kind("an http:// or https:// address without user name, query and fragment", base_url)
KIMI_CODE_BASE_URL = Kind(BASE_URL.allowed, base_url_of_kimi_code)
KEY = Kind("a key in printable ASCII characters", sealed, secret=True)
KEYS = listed(KEY, f"{A_LIST_OF} keys in printable ASCII characters")
CREDENTIAL = Kind("a key in printable ASCII characters", credential, secret=True)
CREDENTIALS = listed(CREDENTIAL, KEYS.allowed)
REFERENCE = Kind("env:NAME, file:PATH, or a key in printable ASCII characters", reference, secret=True)
ACCOUNT_NAME = Kind("1 to 64 of the characters a-z, 0-9, dot, underscore and hyphen", account_name)
UPSTREAM = one_of(UPSTREAM_NAMES, UPSTREAMS_ALLOWED)
MODEL_NAME = Kind("a name without spaces, in printable ASCII characters", matching(MODEL_NAMED))
MODEL_NAMES = listed(MODEL_NAME, "a list of at least one model name", empty=False)
ROUTES = listed(Kind("", route), f'a list of at least one "upstream/model", upstream {UPSTREAMS_ALLOWED}', empty=False)
TABLES = Kind("tables, each under its own heading in double brackets", tables, secret=True)
