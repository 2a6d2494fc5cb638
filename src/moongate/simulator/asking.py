"""An HTTP request as it came: what decides its answer, and what the witness keeps of it."""

import time
from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from aiohttp import web

from moongate.simulator.models import CODE_ROOT, Product
from moongate.simulator.values import loads
from moongate.simulator.witness import Seen, masked, masked_form

Step = Literal["begin", "token"]
LOGIN: Final[Mapping[str, Step]] = {
    "/api/oauth/device_authorization": "begin",
    "/api/oauth/token": "token",
}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of an HTTP request that decide the answer. `now` is in seconds since 1970."""

    method: str
    path: str
    authorization: str
    user_agent: str
    json: object
    bad_json: str  # why the body is no JSON, if it is none
    now: float

    @property
    def product(self) -> Product:
        return Product.KIMI_CODE if self.path.startswith(f"{CODE_ROOT}/") else Product.PLATFORM

    @property
    def credential(self) -> str:
        scheme, _, credential = self.authorization.partition(" ")
        return credential.strip() if scheme.lower() == "bearer" else ""


def parsed(body: bytes) -> tuple[object, str]:
    """The JSON, or None and why it is none."""
    try:
        return loads(body), ""
    except ValueError as error:
        return None, str(error)


def record(request: web.Request, body: bytes, value: object) -> Seen:
    return Seen(
        method=request.method,
        path=request.path_qs,
        headers=masked(request.headers),
        body=masked_form(body) if request.path in LOGIN else body,
        json=value,
        came_at=time.monotonic(),
    )


def reduced(request: web.Request, value: object, error: str) -> Request:
    return Request(
        method=request.method,
        path=request.path,
        authorization=request.headers.get("Authorization", ""),
        user_agent=request.headers.get("User-Agent", ""),
        json=value,
        bad_json=error,
        now=time.time(),
    )
