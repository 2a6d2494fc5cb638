"""Which models there are, and which names mean them. Rows, and a pure look-up over them."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import chain

from msgspec import Struct, structs

from moongate.core.errors import GatewayError, Kind
from moongate.core.route import ListedModel, Route
from moongate.pool.account import Account
from moongate.upstreams.kimi_site import MODELS as OF_THE_SITE
from moongate.upstreams.kimi_web.models import KNOWN as OF_THE_WEB

K256 = 262_144
K1M = 1_048_576


def _row(id: str, upstream: str, context_length: int, *, video: bool = True) -> ListedModel:
    return ListedModel(id, upstream, 0, context_length, reasoning=True, image_in=True, video_in=video)


MODELS = (
    # The platform, as it listed itself in 2026-09.
    _row("kimi-k3", "moonshot", K1M),
    _row("kimi-k2.6", "moonshot", K256),
    _row("kimi-k2.7-code", "moonshot", K256),
    _row("kimi-k2.7-code-highspeed", "moonshot", K256),
    # Kimi Code. The official client's own catalogue of 2026-09 gives the moving alias the longer context.
    _row("kimi-for-coding", "kimi-code", K1M),
    _row("kimi-for-coding-highspeed", "kimi-code", K256),
    _row("k3", "kimi-code", K1M),
    _row("k3-256k", "kimi-code", K256, video=False),
    *OF_THE_WEB,
    *OF_THE_SITE,
)
"""What an upstream is taken to serve until it has said so itself."""


class Alias(Struct, frozen=True):
    """Another name for a model. `listed`: worth showing to who asks which models there are."""

    name: str
    route: Route
    listed: bool = False


def _retired(name: str) -> Alias:
    # Retired by the vendor on 2026-08-31; the smallest current model of the platform answers in their place.
    return Alias(name, Route("moonshot", "kimi-k2.6", note=f"{name} was retired, kimi-k2.6 answers"))


ALIASES = (
    Alias(
        "kimi-for-coding-thinking",
        Route("kimi-code", "kimi-for-coding", thinking=True, note="kimi-for-coding with thinking enabled"),
        listed=True,
    ),
    _retired("moonshot-v1-8k"),
    _retired("moonshot-v1-32k"),
    _retired("moonshot-v1-128k"),
    _retired("moonshot-v1-auto"),
)

STANDS_IN = {"simulator": ("moonshot", "kimi-code")}
"""Upstreams that serve what others do."""

PROVIDERS = "openai"
"""What means all providers together: upstreams the operator has named, of which no rows are known."""

UPSTREAMS = frozenset({*(model.upstream for model in MODELS), *STANDS_IN, PROVIDERS})


class Catalog:
    """Knows the rows, the operator's own routes, and what each account reported. Answers are values."""

    def __init__(
        self,
        accounts: Iterable[Account],
        routes: Mapping[str, tuple[str, ...]] | None = None,
        before: "Catalog | None" = None,
    ) -> None:
        """`before`: the catalogue this one replaces; what accounts that stay have reported is kept."""
        self._accounts = tuple(accounts)
        self._routes = dict(routes or {})
        self._reported = before.reported_by(self._accounts) if before else {}

    def reported_by(self, accounts: Iterable[Account]) -> dict[str, tuple[ListedModel, ...]]:
        """What those of `accounts` that are known here have reported, by name."""
        known = {account.name: account for account in self._accounts}
        return {
            account.name: self._reported[account.name]
            for account in accounts
            if account.name in self._reported and account.is_same(known[account.name])
        }

    def learn(self, account: Account, listed: tuple[ListedModel, ...]) -> None:
        """What this account may use, as its upstream reports it."""
        if listed:  # an empty list has been seen for memberships that had lapsed, and says nothing of the models
            self._reported[account.name] = listed

    def resolve(self, name: str, own: tuple[Account, ...] = ()) -> tuple[Route, ...]:
        """Ways to serve `name`, in the order to try them. `own`: the accounts the caller brought, instead of ours.

        Raises GatewayError (UNKNOWN_MODEL) with the nearest names.
        """
        accounts = own or self._accounts
        routes = self._chosen(name, accounts) if name in self._routes else self._found(name, accounts)
        able = tuple(route for route in routes if any(account.serves(route) for account in accounts))
        if able:
            return able
        if own:  # of the caller's own account nothing was reported, so its upstream is the one to ask
            return tuple({Route(account.upstream.name, name): None for account in own})
        raise GatewayError(Kind.UNKNOWN_MODEL, self._no_such(name, accounts), param="model")

    def models(self, own: tuple[Account, ...] = ()) -> tuple[ListedModel, ...]:
        """What the accounts can serve, by name, each once."""
        accounts = own or self._accounts
        found: dict[str, ListedModel] = {}
        for name in self._routes:
            routes = self._chosen(name, accounts)
            if any(account.serves(route) for route in routes for account in accounts):
                found[name] = ListedModel(name, "moongate")
        for account in accounts:
            for model in self._offered(account):
                if account.serves(Route(account.upstream.name, model.id)):
                    found.setdefault(model.id, model)
        for alias in ALIASES:
            target = found.get(alias.route.model)
            if alias.listed and target is not None:
                found.setdefault(alias.name, structs.replace(target, id=alias.name))
        return tuple(found.values())

    def model(self, name: str, own: tuple[Account, ...] = ()) -> ListedModel:
        """Raises GatewayError (UNKNOWN_MODEL)."""
        known = {model.id: model for model in self.models(own)}
        if name in known:
            return known[name]
        route = self.resolve(name, own)[0]
        described = known.get(route.model, ListedModel(name, route.upstream))
        return structs.replace(described, id=name)

    def _chosen(self, name: str, accounts: tuple[Account, ...]) -> tuple[Route, ...]:
        """The operator's own routes for a name, in their order."""
        ways = (_addressed(way, accounts) or self._at_providers(way, accounts) for way in self._routes[name])
        return tuple(dict.fromkeys(chain.from_iterable(ways)))

    def _found(self, name: str, accounts: tuple[Account, ...]) -> tuple[Route, ...]:
        """Whom the caller addresses; else who offers this very name; else what it stands for; else who takes any name.

        Raises GatewayError (UNKNOWN_MODEL) for an address of nobody here.
        """
        _refuse_stranger(name, accounts)
        return (
            _addressed(name, accounts)
            or _at((a for a in accounts if self._offers(a, name)), name)
            or tuple(route for upstream in _upstreams(accounts) if (route := _alias(upstream, name)))
            or self._at_providers(name, accounts)
            or _at((a for a in accounts if not self._offered(a)), name)
        )

    def served_by(self, account: Account) -> tuple[str, ...]:
        """Names of models; none where nothing is known of what it has."""
        names = (model.id for model in self._offered(account))
        return tuple(name for name in names if account.serves(Route(account.upstream.name, name)))

    def _at_providers(self, name: str, accounts: tuple[Account, ...]) -> tuple[Route, ...]:
        """`openai/model` means all providers: those that offer the model, if any does."""
        upstream, _, model = name.partition("/")
        if upstream != PROVIDERS or not model:
            return ()
        providers = [account for account in accounts if _is_provider(account)]
        return _at([a for a in providers if self._offers(a, model)] or providers, model)

    def _offers(self, account: Account, name: str) -> bool:
        return any(model.id == name for model in self._offered(account))

    def _offered(self, account: Account) -> tuple[ListedModel, ...]:
        """What it reported, and what it was configured to serve; until it has reported, what is known of its kind.

        Nothing where nothing is known at all, as of a provider without a list: then any name may be one of its models.
        """
        upstream = account.upstream.name
        speaks_for = (upstream, *STANDS_IN.get(upstream, ()))
        known = tuple(model for model in MODELS if model.upstream in speaks_for)
        offered = self._reported.get(account.name, known)
        named = account.models or frozenset()
        extra = named.difference(model.id for model in offered)
        return (*offered, *(ListedModel(name, upstream) for name in sorted(extra)))

    def _no_such(self, name: str, accounts: tuple[Account, ...]) -> str:
        if not name:
            return "no model was named"
        upstreams = _upstreams(accounts)
        aliases = (alias.name for alias in ALIASES if any(_alias(upstream, alias.name) for upstream in upstreams))
        known = [model.id for model in self.models(accounts)]
        near = get_close_matches(name[:256], [*known, *aliases], n=3, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; GET /v1/models lists what there is"
        return f"there is no model {_shown(name)}{hint}"


def _shown(name: str) -> str:
    return name[:80].encode("unicode_escape").decode() + ("..." if len(name) > 80 else "")


def _upstreams(accounts: Iterable[Account]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(account.upstream.name for account in accounts))


def _is_provider(account: Account) -> bool:
    return account.upstream.name == PROVIDERS or account.upstream.name not in UPSTREAMS


def _at(accounts: Iterable[Account], model: str) -> tuple[Route, ...]:
    """The model under this very name at each upstream of these accounts."""
    return tuple(Route(upstream, model) for upstream in _upstreams(accounts))


def _addressed(name: str, accounts: tuple[Account, ...]) -> tuple[Route, ...]:
    """`upstream/model` goes to that upstream or provider, whatever the model is called; else to the one account of this
    name. The model may be another name of one."""
    upstream, _, model = name.partition("/")
    if not model:
        return ()
    if upstream in _upstreams(accounts):
        return (_route(upstream, model),)
    named = (account for account in accounts if account.name == upstream)
    return tuple(structs.replace(_route(account.upstream.name, model), account=account.name) for account in named)


def _route(upstream: str, model: str) -> Route:
    return _alias(upstream, model) or Route(upstream, model)


def _refuse_stranger(name: str, accounts: tuple[Account, ...]) -> None:
    """A name that begins with an upstream nobody here has an account at."""
    upstream, slash, _ = name.partition("/")
    here = {*_upstreams(accounts), *(PROVIDERS for account in accounts if _is_provider(account))}
    if slash and upstream in UPSTREAMS - here:
        message = f"{_shown(name)} cannot be served: there is no account of upstream {upstream} here"
        raise GatewayError(Kind.UNKNOWN_MODEL, message, param="model")


def _alias(upstream: str, name: str) -> Route | None:
    """What `name` stands for at `upstream`, if anything."""
    speaks_for = (upstream, *STANDS_IN.get(upstream, ()))
    routes = (alias.route for alias in ALIASES if alias.name == name and alias.route.upstream in speaks_for)
    return next((structs.replace(route, upstream=upstream) for route in routes), None)


def real_name(upstream: str, name: str) -> str:
    """The name under which `upstream` itself knows the model."""
    route = _alias(upstream, name)
    return route.model if route else name
