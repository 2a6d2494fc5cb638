"""An account: a named credential at an upstream."""

from msgspec import Struct

from moongate.core.route import Route
from moongate.pool.credentials import Credential
from moongate.upstreams.upstream import Upstream


class Account(Struct, frozen=True):
    """`models`: names at the upstream that this account is to serve, None for any. `rpm` and `tpm`: requests and tokens
    a minute. `is_callers`: brought by the caller for one request, so that what is wrong with it is the caller's to
    know."""

    name: str
    upstream: Upstream
    credential: Credential
    max_concurrency: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    models: frozenset[str] | None = None
    is_callers: bool = False

    def serves(self, route: Route) -> bool:
        if route.account not in ("", self.name):
            return False
        return self.upstream.name == route.upstream and (self.models is None or route.model in self.models)

    def is_same(self, other: "Account") -> bool:
        """Whether what is known of one holds for the other: the same credential at the same place."""
        return self.upstream == other.upstream and self.credential == other.credential

    def is_peer(self, other: "Account") -> bool:
        """Whether one vendor's trouble is trouble for both."""
        return self.upstream == other.upstream
