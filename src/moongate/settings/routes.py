"""Names of the operator's own for models, and the routes behind them."""

from collections.abc import Iterable

from moongate.settings import kinds, table
from moongate.settings.entries import Entry, entries
from moongate.settings.sources import Source
from moongate.settings.tree import AccountSetting, RouteSetting


def models(file: Source, accounts: Iterable[AccountSetting]) -> tuple[RouteSetting, ...]:
    """Raises SettingsError, also for a route to none of the upstreams, providers and accounts."""
    there = _addresses(accounts)
    every: dict[str, RouteSetting] = {}
    for entry in entries(file, "models", table.MODEL):
        model = RouteSetting(name=entry.read(table.MODEL_NAME), routes=_routes(entry, there))
        if model.name in every:
            raise entry.find(table.MODEL_NAME).refuse("is the name of another model")
        every[model.name] = model
    return tuple(every.values())


def _addresses(accounts: Iterable[AccountSetting]) -> tuple[str, ...]:
    """What may stand before the slash of a route."""
    named = (name for account in accounts for name in (account.provider, account.name) if name)
    return tuple(dict.fromkeys((*kinds.UPSTREAM_NAMES, *named)))


def _routes(entry: Entry, there: tuple[str, ...]) -> tuple[str, ...]:
    found = entry.find(table.MODEL_ROUTES)
    routes = found.read_as(table.MODEL_ROUTES)
    for route in routes:
        upstream = route.partition("/")[0]
        if upstream not in there:
            reason = f"there is no upstream, provider or account {upstream}; there are {', '.join(there)}"
            raise found.about(route).refuse(reason)
    return routes
