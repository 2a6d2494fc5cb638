"""The kinds of value a setting can have: how each is read, and what a person is told is allowed.

A kind's `parse` raises ValueError for what it does not accept; the words come from `allowed`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar, get_args

from moongate.settings import values
from moongate.settings.values import checked

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Word = TypeVar("Word", bound=str)

LogFormat = Literal["auto", "json", "text"]
UpstreamName = Literal["moonshot", "kimi-code", "kimi-web", "kimi-site", "openai", "simulator"]
WebDialect = Literal["auto", "connect", "rest"]
Citations = Literal["links", "none", "raw"]

LOG_FORMATS: Final[tuple[LogFormat, ...]] = get_args(LogFormat)
WEB_DIALECTS: Final[tuple[WebDialect, ...]] = get_args(WebDialect)
CITATIONS_FORMS: Final[tuple[Citations, ...]] = get_args(Citations)
UPSTREAM_NAMES: Final[tuple[UpstreamName, ...]] = get_args(UpstreamName)


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
    return Kind(allowed, lambda value: checked(by_spelling.get(values.text(value).lower())))


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
        return number if low <= number <= high else checked(None)

    return Kind(allowed, parse)


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


# The kinds

A_LIST_OF = "a comma-separated list of"
UPSTREAMS_ALLOWED: Final = "one of moonshot, kimi-code, kimi-web, kimi-site, openai, simulator"

YES_NO = Kind("true, false, yes, no, on, off, 1 or 0", values.truth)
PORT = whole_number("a port from 0 to 65535", 0, 65535)
COUNT = whole_number("a whole number above 0", 1)
RETRIES = whole_number("a whole number from 0 to 20", 0, 20)
SECONDS = Kind("a number of seconds above 0", values.seconds)
PACE = Kind("a number of seconds below 1, or 0 or off for none", values.pace)
SECONDS_OR_OFF = Kind("a number of seconds, or 0 or off for none", values.seconds_or_off)
SIZE = Kind("a number of bytes above 0, also written like 512k, 20MiB or 1GB", values.size)
LEVEL = Kind("DEBUG, INFO, WARNING or ERROR", values.level)
LOG_FORMAT = one_of(LOG_FORMATS, "auto, json or text")
ANY_TEXT = Kind("any text", values.text)
HEADER = Kind("one line of printable ASCII characters", values.matching(values.PRINTABLE_ASCII))
PATH = Kind("a path", values.path)
HOST = Kind("a host name or an IP address, without scheme and port", values.host)
NETWORKS = listed(Kind("", values.network), f"{A_LIST_OF} IP addresses or CIDR ranges such as 10.0.0.0/8")
ORIGINS = listed(Kind("", values.origin), f"{A_LIST_OF} origins such as https://example.com:8443, or *")
BASE_URL = Kind("an http:// or https:// address without user name, query and fragment", values.base_url)
KIMI_CODE_BASE_URL = Kind(BASE_URL.allowed, values.base_url_of_kimi_code)
KEY = Kind("a key in printable ASCII characters", values.sealed, secret=True)
SECRET_TEXT = Kind("one line of printable ASCII characters", values.sealed, secret=True)
KEYS = listed(KEY, f"{A_LIST_OF} keys in printable ASCII characters")
CREDENTIAL = Kind("a key in printable ASCII characters", values.credential, secret=True)
CREDENTIALS = listed(CREDENTIAL, KEYS.allowed)
REFERENCE = Kind(
    "env:NAME, file:PATH, login, login:NAME, or a key in printable ASCII characters", values.reference, secret=True
)
ACCOUNT_NAME = Kind("1 to 64 of the characters a-z, 0-9, dot, underscore and hyphen", values.account_name)
UPSTREAM = one_of(UPSTREAM_NAMES, UPSTREAMS_ALLOWED)
WEB_DIALECT = one_of(WEB_DIALECTS, "auto, connect or rest")
CITATIONS = one_of(CITATIONS_FORMS, "links, none or raw")
DATABASE_URL = Kind("an address that begins with postgresql:// or sqlite:///", values.database_url, secret=True)
MODEL_NAME = Kind("a name without spaces, in printable ASCII characters", values.matching(values.MODEL_NAMED))
MODEL_NAMES = listed(MODEL_NAME, "a list of at least one model name", empty=False)
ROUTES = listed(
    Kind("", values.route),
    f'a list of at least one "upstream/model", upstream {UPSTREAMS_ALLOWED}, or the name of a provider or an account',
    empty=False,
)
TABLES = Kind("tables, each under its own heading in double brackets", values.tables, secret=True)
