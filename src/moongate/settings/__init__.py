"""What the operator chose: one frozen tree, read from command line, environment, `.env` and `moongate.toml`.

`table` says what can be set, `kinds` and `values` how each kind of value is read, `sources` and `entries` where it
stands, `accounts`, `credentials` and `routes` what becomes of it, `tree` what comes out, and `load` puts them together.
`changes` says which of them a running gateway cannot take over.
"""

from moongate.settings.changes import needs_restart, while_running
from moongate.settings.errors import SettingsError
from moongate.settings.load import home, load
from moongate.settings.table import ACCOUNT, MODEL, SECTIONS, TABLE, Section, Setting
from moongate.settings.tree import AccountSetting, Callers, Deadlines, Listen, Log, RouteSetting, Settings

__all__ = [
    "ACCOUNT",
    "MODEL",
    "SECTIONS",
    "TABLE",
    "AccountSetting",
    "Callers",
    "Deadlines",
    "Listen",
    "Log",
    "RouteSetting",
    "Section",
    "Setting",
    "Settings",
    "SettingsError",
    "home",
    "load",
    "needs_restart",
    "while_running",
]
