"""Everything that is not a model's reply: lists, health, documentation. Small, and off the fast path."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from moongate import __version__
from moongate.core.errors import GatewayError, Kind
from moongate.core.exchange import Exchange
from moongate.dialects import models
from moongate.dialects.dialect import Server as Dialect
from moongate.discovery import Discovery
from moongate.http.reply import around_error
from moongate.policy.keys import Keyring
from moongate.pool.account import Account
from moongate.pool.own import OwnAccounts

DOCS = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Moongate: its interface</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null})</script>
</body>
</html>
"""


UNPREFIXED = frozenset({"/chat/completions", "/models"})
"""Asked for by clients whose base URL lacks its `/v1`."""


class Pages:
    """`dialect` tells errors; `public_models`: the list needs no key; `is_ready` whether an account can serve; `more`
    are pages of others."""

    def __init__(
        self,
        discovery: Discovery,
        keys: Keyring,
        accounts: OwnAccounts,
        openapi: Mapping[str, object],
        twins: tuple[str, ...],
        dialect: Dialect,
        *,
        public_models: bool,
        is_ready: Callable[[], Awaitable[bool]],
        more: Sequence[Route] = (),
    ) -> None:
        self._discovery = discovery
        self._keys = keys
        self._accounts = accounts
        self._openapi = openapi
        self._twins = twins
        self._dialect = dialect
        self._public_models = public_models
        self._is_ready = is_ready
        self._more = more

    def app(self) -> Starlette:
        lists = [
            route
            for twin in self._twins
            for route in (
                Route(f"{twin}/v1/models", self._models),
                Route(f"{twin}/v1/models/{{id:path}}", self._model),
            )
        ]
        return Starlette(
            routes=[
                Route("/", self._root),
                Route("/health", self._health),
                Route("/health/ready", self._ready),
                Route("/openapi.json", self._openapi_json),
                Route("/docs", self._docs),
                Mount("/docs/assets", StaticFiles(directory=_assets())),
                *lists,
                *self._more,
            ],
            exception_handlers={HTTPException: self._refused, GatewayError: self._refused},
        )

    async def _root(self, _: Request) -> Response:
        return JSONResponse({"status": "running"})

    async def _health(self, _: Request) -> Response:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return JSONResponse(
            {"success": True, "message": "Moongate is running", "timestamp": now, "version": __version__}
        )

    async def _ready(self, _: Request) -> Response:
        ready = await self._is_ready()
        return JSONResponse({"ready": ready}, 200 if ready else 503)

    async def _openapi_json(self, _: Request) -> Response:
        return JSONResponse(self._openapi)

    async def _docs(self, _: Request) -> Response:
        return HTMLResponse(DOCS)

    async def _models(self, request: Request) -> Response:
        return JSONResponse(models.listing(await self._discovery.models(self._own(request))))

    async def _model(self, request: Request) -> Response:
        own = self._own(request)
        return JSONResponse(models.entry(await self._discovery.model(request.path_params["id"], own)))

    def _own(self, request: Request) -> tuple[Account, ...]:
        """The accounts the caller brought along, whose models are the ones to list. Raises GatewayError."""
        headers: Mapping[str, str] = request.scope["state"]["headers"]
        try:
            caller = self._keys.identify(headers, required=not self._public_models)
        except GatewayError:
            if self._public_models:  # then the list is for everybody
                return ()
            raise
        return self._accounts.accounts(caller)

    def _refused(self, request: Request, error: Exception) -> Response:
        """An error of a page, in the same shape as those of the surfaces."""
        failure = _not_here(request, error) if isinstance(error, HTTPException) else error
        if not isinstance(failure, GatewayError):
            raise failure
        exchange: Exchange = request.scope["state"]["exchange"]
        exchange.outcome, exchange.failure = "refused", failure
        body = self._dialect.refuse(failure)
        headers = {name.decode(): value.decode() for name, value in around_error(exchange, failure, len(body))}
        return Response(body, failure.status, headers)


def _not_here(request: Request, error: HTTPException) -> GatewayError:
    """Starlette's 404 and 405, which it would tell in plain text."""
    if error.status_code == 405:
        allow = (error.headers or {}).get("Allow")
        return GatewayError(Kind.WRONG_METHOD, f"{request.url.path} is not asked with {request.method}", allow=allow)
    path = request.url.path
    hint = f"did you mean /v1{path}?" if path in UNPREFIXED else "/docs lists what there is"
    return GatewayError(Kind.UNKNOWN_PATH, f"there is no {path} here; {hint}")


def _assets() -> Path:
    """Swagger UI's files, carried by a package of which nothing else is used or imported."""
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package fastapi-offline, which carries the files of /docs, is not installed")
    return Path(spec.origin).parent / "static"
