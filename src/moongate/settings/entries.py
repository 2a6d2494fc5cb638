"""The tables that stand only in the file: each of `[[accounts]]` and `[[models]]` is an entry."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from moongate.settings import kinds
from moongate.settings.errors import shown, unknown
from moongate.settings.sources import Found, Source, says_nothing
from moongate.settings.table import Setting

T = TypeVar("T")

TABLES: Final = Setting("", kinds.TABLES, None, "")


@dataclass(frozen=True, slots=True)
class Entry:
    """One table, called by its name in errors, or by its position if it has none."""

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


def entries(file: Source, name: str, rows: tuple[Setting[object], ...]) -> Iterator[Entry]:
    """Those under the heading `name`. Raises SettingsError for a key that is none of `rows`."""
    known = [row.name for row in rows]
    headed = Found(name, file.values.get(name, []), file.where).read_as(TABLES)
    for position, values in enumerate(headed, start=1):
        called = values.get("name")
        label = f"{name}[{f'#{position}' if says_nothing(called) else shown(called, secret=False)}]"
        for key in values:
            if key not in known:
                raise unknown(f"{label}.{key}", key, file.where, known)
        yield Entry(label, values, file.where)
