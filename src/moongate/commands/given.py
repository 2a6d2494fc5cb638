"""What every command needs of the settings, and how it says that something is wrong."""

import sys
from collections.abc import Mapping
from pathlib import Path

from moongate.settings import Settings, SettingsError, home, load

WELL, TROUBLE, WRONG = 0, 1, 2
"""Exit codes: as asked for; something is wrong with an account or the gateway; a setting is wrong."""


def settings_of(given: Mapping[str, object]) -> Settings:
    """Exits where a setting is wrong."""
    try:
        return load(given)
    except SettingsError as error:
        say(str(error))
        raise SystemExit(WRONG) from None


def home_of(given: Mapping[str, object]) -> Path:
    """Where the gateway's state lives, though a setting may be wrong: that is told, and no reason not to look."""
    try:
        return load(given).home
    except SettingsError as error:
        say(f"The settings as they stand now are wrong: {error}")
        return home(given)


def say(line: str) -> None:
    """To the person, beside what is asked for."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
