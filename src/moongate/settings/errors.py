"""How a wrong setting is told: one printable line, in which no secret stands."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from moongate.core.redact import redact
from moongate.core.sealed import Sealed

LONGEST_SHOWN: Final = 100

HIDDEN_IN_ADDRESSES: Final = ((re.compile(r"^.*@", re.DOTALL), "…@"), (re.compile(r"([?#]).+", re.DOTALL), r"\1…"))
"""User names, passwords and tokens that were written into an address."""


class SettingsError(Exception):
    """A setting that stops the start. `setting` is its name as the operator wrote it, `message` the whole line;
    `file`: the one that is at fault, where that is known."""

    def __init__(self, setting: str, message: str) -> None:
        self.setting = one_line(setting)
        self.message = one_line(message)
        self.file: Path | None = None
        super().__init__(self.setting, self.message)

    def __str__(self) -> str:
        return self.message


@contextmanager
def mended_by(file: Path) -> Iterator[None]:
    """What is wrong with a setting in the block stands in this file, if no other was found to be at fault."""
    try:
        yield
    except SettingsError as error:
        error.file = error.file or file
        raise


def one_line(text: str) -> str:
    # Keys end up in the wrong variable; there they are still secrets.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in redact(text))


def shown(value: object, *, secret: bool) -> str:
    """What was read, as an error may show it."""
    if secret:
        return str(Sealed(value)) if isinstance(value, str) else "…"
    text = _spelled(value)
    for pattern, instead in HIDDEN_IN_ADDRESSES:
        text = pattern.sub(instead, text)
    # A key is hidden before the line is cut: half a key would no longer be recognised.
    text = one_line(text)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def _spelled(value: object) -> str:
    if isinstance(value, str | Path):
        return str(value)
    try:
        return json.dumps(value, default=str, ensure_ascii=False)
    except ValueError:  # a number of thousands of digits
        return "…"


def unknown(label: str, name: str, where: str, known: Iterable[str]) -> SettingsError:
    """The value of an unknown name is not shown: it may be a secret under a misspelt name."""
    by_spelling = {each.lower(): each for each in known}
    (nearest,) = get_close_matches(name.lower(), by_spelling, n=1, cutoff=0)
    return SettingsError(label, f"{label} ({where}): is not a known name; the nearest is {by_spelling[nearest]}")
