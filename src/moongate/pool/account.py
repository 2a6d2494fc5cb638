"""An account: a named credential at an upstream."""

from msgspec import Struct

from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.upstreams.upstream import Upstream


class Account(Struct, frozen=True):
    """`models`: names at the upstream that this account is to serve, None for any. `is_callers`: brought by the caller
    for one request, so that what is wrong with it is the caller's to know."""

    name: str
    upstream: Upstream
    credential: Sealed
    max_concurrency: int | None = None
    models: frozenset[str] | None = None
    is_callers: bool = False

    def serves(self, route: Route) -> bool:
        return self.upstream.name == route.upstream and (self.models is None or route.model in self.models)
