"""One whole HTTP answer of the web site."""

from typing import Final

import msgspec

from moongate.simulator.values import JsonObject, dumps
from moongate.simulator.web.refusals import WebRefusal, connect_error, rest_error

_JSON: Final = "application/json"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """`lost`: all was done, but the answer never arrives."""

    body: bytes
    status: int = 200
    media_type: str = _JSON
    headers: dict[str, str] = {}
    lost: bool = False


def told(value: JsonObject, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return Reply(body=dumps(value), status=status, headers=headers or {})


def connect_refused(refusal: WebRefusal, *, bare_debug: bool = False, status: int | None = None) -> Reply:
    """`status`: another than that of the refusal."""
    value: JsonObject = {**connect_error(refusal, bare_debug=bare_debug), "message": refusal.message}
    return _refused(refusal, value, status)


def rest_refused(refusal: WebRefusal, status: int | None = None) -> Reply:
    return _refused(refusal, rest_error(refusal), status)


def _refused(refusal: WebRefusal, value: JsonObject, status: int | None) -> Reply:
    is_page = bool(refusal.page)
    return Reply(
        body=refusal.page.encode() if is_page else dumps(value),
        status=refusal.status if status is None else status,
        media_type="text/html" if is_page else _JSON,
        headers=refusal.headers,
    )
