"""Where settings stand: command line, environment, `.env`, `moongate.toml`; the first that says something wins.

Each is read once. An empty text says nothing, wherever it stands.
"""

import io
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dotenv.parser import parse_stream

from moongate.settings.errors import SettingsError, shown, unknown
from moongate.settings.kinds import PieceError
from moongate.settings.table import MOONGATE_CONFIG, TABLE, Setting

T = TypeVar("T")

DOTENV = ".env"
TABLES = ("accounts", "models")
NAMES = tuple(name for setting in TABLE for name in setting.names)
NAMES_IN_FILE = (*(name.lower() for name in NAMES if name != MOONGATE_CONFIG.name), *TABLES)


@dataclass(frozen=True, slots=True)
class Found:
    """What was read for one setting, and where. A value of None means that nothing was."""

    label: str
    value: object
    where: str
    secret: bool = False

    def refuse(self, reason: str) -> SettingsError:
        return SettingsError(self.label, f"{self.line}: {reason}")

    def about(self, piece: object) -> "Found":
        """One piece of what was read, which the error then shows instead of the whole."""
        return replace(self, value=piece)

    @property
    def line(self) -> str:
        if self.value is None:
            return f"{self.label} ({self.where})"
        return f"{self.label}={shown(self.value, secret=self.secret)} ({self.where})"

    def read_as(self, setting: Setting[T]) -> T:
        """Raises SettingsError."""
        value = setting.default if self.value is None else self.value
        try:
            return setting.kind.parse(value)
        except ValueError as error:
            wrong = error.piece if isinstance(error, PieceError) else value
            missing = "is missing and " if wrong is None else ""
            refusable = replace(self.about(wrong), secret=setting.kind.secret)
            raise refusable.refuse(f"{missing}must be {setting.kind.allowed}") from None


@dataclass(frozen=True, slots=True)
class Source:
    where: str
    values: Mapping[str, object]
    spell: Callable[[str], str] = str

    def find(self, setting: Setting[object]) -> Iterator[Found]:
        for name in map(self.spell, setting.names):
            value = self.values.get(name)
            if not says_nothing(value):
                yield Found(name, value, self.where, setting.kind.secret)


@dataclass(frozen=True, slots=True)
class Sources:
    ordered: tuple[Source, ...]

    def find(self, setting: Setting[object]) -> Found:
        every = (found for source in self.ordered for found in source.find(setting))
        return next(every, Found(setting.name, None, "default"))

    def read(self, setting: Setting[T]) -> T:
        """Raises SettingsError."""
        return self.find(setting).read_as(setting)

    def variable(self, name: str) -> str | None:
        """Any variable of the environment or `.env`, for credentials that are kept there."""
        values = (source.values.get(name) for source in self.ordered if source.where in {"environment", DOTENV})
        return next((value for value in values if isinstance(value, str) and not says_nothing(value)), None)


def says_nothing(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def command_line(overrides: Mapping[str, object]) -> Source:
    """Takes names in either case. Raises SettingsError for a name that is no setting."""
    values = {name.upper(): value for name, value in overrides.items()}
    for name in values:
        if name not in NAMES:
            raise unknown(name, name, "command line", NAMES)
    return Source("command line", values)


def dotenv(directory: Path) -> Source:
    """Values are taken as they stand, without ${…}: a key may hold a dollar sign. Raises SettingsError."""
    content = contents(directory / DOTENV, DOTENV, DOTENV) or ""
    bindings = list(parse_stream(io.StringIO(content)))
    for binding in bindings:
        if binding.error:
            # The parser counts from where it began to look, which may be blank lines above.
            blank = binding.original.string[: -len(binding.original.string.lstrip())].count("\n")
            raise SettingsError(DOTENV, f"{DOTENV}: line {binding.original.line + blank} is not NAME=value")
    return Source(DOTENV, {binding.key: binding.value for binding in bindings if binding.key})


def toml(named: Found, directory: Path) -> Source:
    """The settings file, `named` by MOONGATE_CONFIG. Raises SettingsError."""
    path = directory / named.read_as(MOONGATE_CONFIG)
    where = "moongate.toml" if named.value is None else str(named.value)
    content = contents(path, where, where)
    if content is None and named.value is not None:
        raise named.refuse("there is no such file")
    values = _parsed(content or "", where)
    for name in values:
        if name not in NAMES_IN_FILE:
            raise unknown(name, name, where, NAMES_IN_FILE)
    return Source(where, values, str.lower)


def contents(path: Path, setting: str, line: str) -> str | None:
    """None if there is no such file. Raises SettingsError, beginning with `line`, if there is but it cannot be read."""
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise SettingsError(setting, f"{line}: is not UTF-8 text") from None
    except OSError as error:
        raise SettingsError(setting, f"{line}: cannot be read: {error.strerror}") from None


def _parsed(content: str, where: str) -> dict[str, object]:
    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(where, f"{where}: is not TOML: {error}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, or thousands of brackets
        raise SettingsError(where, f"{where}: is not TOML that can be read") from None
