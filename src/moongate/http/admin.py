"""What the operator asks of a running gateway: how its accounts fare, and to forget what it holds against one.

Not for callers: it takes the master key, or the word that the gateway leaves in its home for whoever may read there.
"""

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from moongate.core.errors import GatewayError, Kind
from moongate.core.sealed import Sealed
from moongate.policy.keys import presented
from moongate.pool.pool import Pool


class Admin:
    """`keys`: any of them opens."""

    def __init__(self, pool: Pool, keys: tuple[Sealed, ...]) -> None:
        self._pool = pool
        self._keys = keys

    def routes(self) -> list[Route]:
        return [
            Route("/admin/accounts", self._accounts, methods=["GET"]),
            Route("/admin/accounts/{name}/reset", self._reset, methods=["POST"]),
        ]

    async def _accounts(self, request: Request) -> Response:
        self._admit(request)
        return _json({"accounts": self._pool.reports()})

    async def _reset(self, request: Request) -> Response:
        self._admit(request)
        name = request.path_params["name"].lower()
        if not self._pool.reset(name):
            there = ", ".join(account.name for account in self._pool.accounts)
            raise GatewayError(Kind.UNKNOWN_PATH, f"there is no account of this name; there are: {there}")
        return _json({"accounts": [report for report in self._pool.reports() if report.name == name]})

    def _admit(self, request: Request) -> None:
        """Raises GatewayError (UNAUTHENTICATED)."""
        headers: Mapping[str, str] = request.scope["state"]["headers"]
        sent = [Sealed(text) for text in presented(headers)]
        if not any(key == text for key in self._keys for text in sent):
            raise GatewayError(Kind.UNAUTHENTICATED, "only the operator may ask this; see `moongate accounts --help`")


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
