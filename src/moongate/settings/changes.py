"""What becomes of settings that change while the gateway runs."""

from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from typing import Final

from moongate.settings import table
from moongate.settings.table import Setting
from moongate.settings.tree import Settings

FIXED: Final[tuple[tuple[Setting[object], Callable[[Settings], object]], ...]] = (
    (table.API_HOST, attrgetter("listen.host")),
    (table.API_PORT, attrgetter("listen.port")),
    (table.MOONGATE_LOG_FORMAT, attrgetter("log.format")),
    (table.MOONGATE_HOME, attrgetter("home")),
    (table.MOONGATE_SECRET, attrgetter("secret")),
    (table.NODE_ENV, attrgetter("reload")),
)
"""Those that take effect at the start only; all others do at once."""


def needs_restart(old: Settings, new: Settings) -> tuple[str, ...]:
    """The names of settings that differ and of which the running gateway keeps the old value."""
    return tuple(setting.name for setting, value in FIXED if value(old) != value(new))


def while_running(old: Settings, new: Settings) -> Settings:
    """The new ones, but the old where they need a start: who is let in depends on where it really listens."""
    return replace(
        new,
        listen=replace(new.listen, host=old.listen.host, port=old.listen.port),
        log=replace(new.log, format=old.log.format),
        home=old.home,
        secret=old.secret,
        reload=old.reload,
    )
