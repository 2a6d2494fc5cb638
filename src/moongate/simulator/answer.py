"""Answers as values: all that goes out, and when. Nothing is sent here."""

import uuid
from collections.abc import Iterable
from typing import Final

import msgspec

from moongate import __version__
from moongate.simulator import plan
from moongate.simulator.accounts import AccountState
from moongate.simulator.asking import Request
from moongate.simulator.catalogue import CATALOGUE
from moongate.simulator.models import Product
from moongate.simulator.refusals import Refusal
from moongate.simulator.script import DEFAULT, Script
from moongate.simulator.tokens import Usage
from moongate.simulator.values import JsonObject, dumps

_JSON: Final = "application/json; charset=utf-8"
_SSE: Final = "text/event-stream"
_NOTHING: Final = Usage()
_SERVER: Final = f"moongate-simulator/{__version__}"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """All that the server has to perform. `length` is the Content-Length, None for a chunked body."""

    script: Script
    status: int
    headers: dict[str, str]
    steps: plan.Steps
    length: int | None
    usage: Usage = Usage()
    account: AccountState | None = None  # against which it counts while it lasts


def refused(request: Request, refusal: Refusal, script: Script = DEFAULT) -> Answer:
    """A refusal as an answer; a script's faults befall it like any whole body."""
    body = refusal.encoded()
    steps = plan.whole(script, body, body, "refused")
    own = {name.lower(): value for name, value in refusal.headers.items()}
    headers = {name: value for name, value in _headers(request.product, _JSON).items() if name.lower() not in own}
    return Answer(
        script=script,
        status=refusal.status,
        headers=headers | refusal.headers,
        steps=steps,
        length=plan.length(steps, body),
    )


def whole(request: Request, script: Script, value: JsonObject, usage: Usage = _NOTHING) -> Answer:
    """One document."""
    body = dumps(value)
    steps = plan.whole(script, body, _in_band(script))
    return Answer(
        script=script,
        status=200,
        headers=_headers(request.product, _JSON),
        steps=steps,
        length=plan.length(steps, body),
        usage=usage,
    )


def streamed(request: Request, script: Script, chunks: Iterable[JsonObject], usage: Usage) -> Answer:
    steps = plan.stream(script, chunks, _in_band(script))
    headers = _headers(request.product, _SSE)
    return Answer(script=script, status=200, headers=headers, steps=steps, length=None, usage=usage)


def refusal_of(script: Script) -> Refusal | None:
    """The refusal that stands in place of the answer; one that is told in-band does not."""
    return script.refusal() if script.error_after is None else None


def _in_band(script: Script) -> bytes:
    """No such error was ever recorded; the shape is that of an error body."""
    return (script.refusal() or CATALOGUE["engine_overloaded"]).encoded()


def _headers(product: Product, content_type: str) -> dict[str, str]:
    # `x-trace-id` is what official clients log, `Msh-Request-Id` was captured on the platform.
    headers = {"Content-Type": content_type, "Server": _SERVER, "x-trace-id": uuid.uuid4().hex}
    return headers if product is Product.KIMI_CODE else {**headers, "Msh-Request-Id": str(uuid.uuid4())}
