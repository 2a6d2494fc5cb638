"""From a request to its answer as a value: who is let in, which script speaks, what goes out. Nothing is sent here."""

import uuid
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from moongate import __version__
from moongate.simulator import models, plan, shapes, vendor
from moongate.simulator.accounts import Accounts, AccountState
from moongate.simulator.asked import Asked
from moongate.simulator.models import Product
from moongate.simulator.oauth import OAuth
from moongate.simulator.police import police
from moongate.simulator.refusals import (
    CATALOGUE,
    INVALID_AUTHENTICATION,
    KIMI_CODE_INVALID_KEY,
    METHOD_NOT_FOUND,
    Refusal,
    invalid_request,
    route_not_found,
)
from moongate.simulator.script import DEFAULT, BadScriptError, Script, directive
from moongate.simulator.speech import speak
from moongate.simulator.tokens import Prefixes, Usage
from moongate.simulator.values import dumps
from moongate.simulator.witness import Queue

_JSON: Final = "application/json; charset=utf-8"
_SSE: Final = "text/event-stream"
_SERVER: Final = f"moongate-simulator/{__version__}"
_CODE_ROOT: Final = "/coding"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """All that the server has to perform. `length` is the Content-Length, None for a chunked body."""

    script: Script
    status: int
    headers: dict[str, str]
    steps: plan.Steps
    length: int | None
    usage: Usage = Usage()
    account: AccountState | None = None


class Knobs(msgspec.Struct):
    """What a test may change of the whole service. `gate`: how the user agents begin that Kimi Code serves, None for
    all. `date_skew`: seconds by which its clock is ahead."""

    usages_shape: vendor.Shape = "both"
    gate: tuple[str, ...] | None = None
    date_skew: float = 0.0

    def shuts_out(self, product: Product, user_agent: str) -> bool:
        return product is Product.KIMI_CODE and self.gate is not None and not user_agent.startswith(self.gate)


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
        return Product.KIMI_CODE if self.path.startswith(f"{_CODE_ROOT}/") else Product.PLATFORM

    @property
    def credential(self) -> str:
        scheme, _, credential = self.authorization.partition(" ")
        return credential.strip() if scheme.lower() == "bearer" else ""


class Desk(msgspec.Struct, frozen=True):
    """What answers depend on beyond the request: settings, and two memories that change."""

    queue: Queue
    prefixes: Prefixes
    keys: frozenset[str] | None
    strict_reasoning: bool
    accounts: Accounts
    oauth: OAuth
    knobs: Knobs

    def answer(self, request: Request) -> Answer:
        about = _ROUTES.get((request.method, request.path))
        if about is None:
            return refused(request, _no_route(request))
        if not self._lets_in(request.product, request.credential):
            return refused(request, _UNKNOWN_KEY[request.product])
        account = self.account(request.credential)
        if (barring := account.barring()) is not None:
            return refused(request, barring)
        match about:
            case "chat":
                return self._chat(request, account)
            case "models":
                return self._models(request)
            case "balance":
                return _whole(request, DEFAULT, dumps(vendor.balance(account)), Usage())
            case "usages":
                body = vendor.usages(account, self.knobs.usages_shape, request.now)
                return _whole(request, DEFAULT, dumps(body), Usage())
            case "me":
                return _whole(request, DEFAULT, dumps(vendor.me(account)), Usage())

    def account(self, credential: str) -> AccountState:
        """That of a key; of an access token that of its login."""
        return self.accounts.of(self.oauth.login_of(credential) or credential)

    def _lets_in(self, product: Product, credential: str) -> bool:
        """Keys are `sk-…` and `sk-kimi-…`; Kimi Code also takes OAuth access tokens, which have no such beginning."""
        code_key = credential.startswith("sk-kimi-")
        key = credential.startswith("sk-")
        fits = key and not code_key if product is Product.PLATFORM else code_key or not key
        if not credential or not fits:
            return False
        if not key:
            known = self.keys is None or credential in self.keys or bool(self.oauth.login_of(credential))
            return known and self.oauth.lets_in(credential)
        return self.keys is None or credential in self.keys

    def _models(self, request: Request) -> Answer:
        script = self.queue.take("models", request.credential) or DEFAULT
        refusal = _refusal(script)
        if refusal:
            return refused(request, refusal, script)
        return _whole(request, script, dumps({**models.listing(request.product), **script.extra}), Usage())

    def _chat(self, request: Request, account: AccountState) -> Answer:
        if request.bad_json:
            return refused(request, invalid_request(f"Invalid request: the body is not JSON: {request.bad_json}"))
        if self.knobs.shuts_out(request.product, request.user_agent):
            return refused(request, CATALOGUE["coding_agents_only"])
        asked = police(request.json, request.product, strict_reasoning=self.strict_reasoning)
        if isinstance(asked, Refusal):
            return refused(request, asked)
        if (refusal := account.refuses(request.product, asked.model.id, request.now)) is not None:
            return refused(request, refusal)
        try:
            script = self.queue.take("chat", request.credential) or directive(asked.messages) or DEFAULT
        except BadScriptError as error:
            return refused(request, invalid_request(f"Invalid request: bad simulate directive: {error}"))
        refusal = _refusal(script)
        if refusal:
            return refused(request, refusal, script)
        account.count(asked.model.id, request.now)
        return msgspec.structs.replace(self._said(request, asked, script), account=account)

    def _said(self, request: Request, asked: Asked, script: Script) -> Answer:
        said = speak(script, asked)
        usage = said.usage(asked, self.prefixes.cached(request.credential, asked))
        choices = script.choices or asked.choices
        reply = shapes.Reply(
            id=f"chatcmpl-{uuid.uuid4().hex[:24]}",
            created=int(request.now),
            model=asked.model.id,
            said=said,
            usage=usage,
            choices=choices,
            include_usage=asked.include_usage,
            script=script,
        )
        streamed = script.answer_as == "stream" or (script.answer_as == "asked" and asked.stream)
        if not streamed:
            return _whole(request, script, dumps(shapes.whole(reply)), usage.times(choices))
        steps = plan.stream(script, shapes.chunks(reply), _in_band(script))
        headers = _headers(request.product, _SSE)
        return Answer(script=script, status=200, headers=headers, steps=steps, length=None, usage=usage.times(choices))


_ROUTES: Final[Mapping[tuple[str, str], Literal["chat", "models", "balance", "usages", "me"]]] = {
    ("POST", "/v1/chat/completions"): "chat",
    ("POST", f"{_CODE_ROOT}/v1/chat/completions"): "chat",
    ("GET", "/v1/models"): "models",
    ("GET", f"{_CODE_ROOT}/v1/models"): "models",
    ("GET", "/v1/users/me/balance"): "balance",
    ("GET", f"{_CODE_ROOT}/v1/usages"): "usages",
    ("GET", f"{_CODE_ROOT}/v1/me"): "me",
}

_UNKNOWN_KEY: Final[Mapping[Product, Refusal]] = {
    Product.PLATFORM: INVALID_AUTHENTICATION,
    Product.KIMI_CODE: KIMI_CODE_INVALID_KEY,
}


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


def _whole(request: Request, script: Script, body: bytes, usage: Usage) -> Answer:
    steps = plan.whole(script, body, _in_band(script))
    return Answer(
        script=script,
        status=200,
        headers=_headers(request.product, _JSON),
        steps=steps,
        length=plan.length(steps, body),
        usage=usage,
    )


def _refusal(script: Script) -> Refusal | None:
    """The refusal that stands in place of the answer; one that is told in-band does not."""
    return script.refusal() if script.error_after is None else None


def _in_band(script: Script) -> bytes:
    """No such error was ever recorded; the shape is that of an error body."""
    return (script.refusal() or CATALOGUE["engine_overloaded"]).encoded()


def _no_route(request: Request) -> Refusal:
    if request.product is Product.KIMI_CODE:
        return METHOD_NOT_FOUND
    return route_not_found(request.method, request.path, request.user_agent)


def _headers(product: Product, content_type: str) -> dict[str, str]:
    # `x-trace-id` is what official clients log, `Msh-Request-Id` was captured on the platform.
    headers = {"Content-Type": content_type, "Server": _SERVER, "x-trace-id": uuid.uuid4().hex}
    return headers if product is Product.KIMI_CODE else {**headers, "Msh-Request-Id": str(uuid.uuid4())}
