"""What becomes of settings that change while the gateway runs."""

from dataclasses import replace
from functools import reduce
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeVar

from moongate.settings import table
from moongate.settings.table import Setting
from moongate.settings.tree import Settings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

FIXED: Final[tuple[tuple[Setting[object], str], ...]] = (
    (table.API_HOST, "listen.host"),
    (table.API_PORT, "listen.port"),
    (table.MOONGATE_LOG_FORMAT, "log.format"),
    (table.MOONGATE_HOME, "home"),
    (table.MOONGATE_SECRET, "secret"),
    (table.KIMI_CODE_OAUTH_HOST, "code_oauth_host"),
    (table.USER_AGENT, "user_agent"),
    (table.KIMI_WEB_AUTH_URL, "web.auth_url"),
    (table.KIMI_SITE_CLOUDSCRAPER, "site.by_scraper"),
    (table.MOONGATE_DATABASE_URL, "sessions.database"),
    (table.NODE_ENV, "reload"),
)
"""Those that take effect at the start only, and where in the tree they stand; all others do at once."""


def needs_restart(old: Settings, new: Settings) -> tuple[str, ...]:
    """The names of settings that differ and of which the running gateway keeps the old value."""
    return tuple(setting.name for setting, place in FIXED if attrgetter(place)(old) != attrgetter(place)(new))


def while_running(old: Settings, new: Settings) -> Settings:
    """The new ones, but the old where they need a start: who is let in depends on where it really listens, a login is
    renewed where and as whom it was made."""
    return reduce(lambda tree, fixed: _with(tree, fixed[1], attrgetter(fixed[1])(old)), FIXED, new)


def _with(tree: T, place: str, value: object) -> T:
    name, _, inner = place.partition(".")
    return replace(tree, **{name: _with(getattr(tree, name), inner, value) if inner else value})
