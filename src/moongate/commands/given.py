"""What every command needs of the settings, and how it says that something is wrong."""

import sys
from collections.abc import Mapping

from moongate.settings import Settings, SettingsError, load

WELL, TROUBLE, WRONG = 0, 1, 2
"""Exit codes: as asked for; something is wrong with an account or the gateway; a setting is wrong."""


def settings_of(given: Mapping[str, object]) -> Settings:
    """Exits where a setting is wrong."""
    try:
        return load(given)
    except SettingsError as error:
        say(str(error))
        raise SystemExit(WRONG) from None


def say(line: str) -> None:
    """To the person, beside what is asked for."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
