"""From a request to its answer as a value: who is let in, and which script speaks. Nothing is sent here."""

import uuid
from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

from moongate.simulator import admission, models, shapes, vendor
from moongate.simulator.accounts import Accounts, AccountState
from moongate.simulator.answer import Answer, refusal_of, refused, streamed, whole
from moongate.simulator.asked import Asked
from moongate.simulator.asking import Request
from moongate.simulator.catalogue import CATALOGUE, INVALID_AUTHENTICATION, KIMI_CODE_INVALID_KEY, METHOD_NOT_FOUND
from moongate.simulator.knobs import Knobs
from moongate.simulator.models import CODE_ROOT, Product
from moongate.simulator.oauth import OAuth
from moongate.simulator.police import police
from moongate.simulator.refusals import Refusal, invalid_request, route_not_found
from moongate.simulator.script import DEFAULT, BadScriptError, Script, directive
from moongate.simulator.speech import speak
from moongate.simulator.tokens import Prefixes
from moongate.simulator.values import JsonObject
from moongate.simulator.weather import Weather
from moongate.simulator.witness import Queue

Told = Literal["models", "balance", "usages", "me"]


class Desk(msgspec.Struct, frozen=True):
    """What answers depend on beyond the request: settings, and memories that change."""

    keys: frozenset[str] | None = None
    strict_reasoning: bool = False
    queue: Queue = msgspec.field(default_factory=Queue)
    weather: Weather = msgspec.field(default_factory=Weather)
    prefixes: Prefixes = msgspec.field(default_factory=Prefixes)
    accounts: Accounts = msgspec.field(default_factory=Accounts)
    oauth: OAuth = msgspec.field(default_factory=OAuth)
    knobs: Knobs = msgspec.field(default_factory=Knobs)

    def answer(self, request: Request) -> Answer:
        about = _ROUTES.get((request.method, request.path))
        if about is None:
            return refused(request, _no_route(request))
        if not self._lets_in(request.product, request.credential):
            return refused(request, _UNKNOWN_KEY[request.product])
        account = self.account(request.credential)
        if (barring := account.barring()) is not None:
            return refused(request, barring)
        return self._chat(request, account) if about == "chat" else self._tell(about, request, account)

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
        known = self.keys is None or credential in self.keys
        if key:
            return known
        return (known or bool(self.oauth.login_of(credential))) and self.oauth.lets_in(credential)

    def _tell(self, about: Told, request: Request, account: AccountState) -> Answer:
        script = self.queue.take(about, request.credential) or DEFAULT
        if (refusal := refusal_of(script)) is not None:
            return refused(request, refusal, script)
        return whole(request, script, {**_TOLD[about](self, request, account), **script.extra})

    def _chat(self, request: Request, account: AccountState) -> Answer:
        if request.bad_json:
            return refused(request, invalid_request(f"Invalid request: the body is not JSON: {request.bad_json}"))
        if self.knobs.shuts_out(request.product, request.user_agent):
            return refused(request, CATALOGUE["coding_agents_only"])
        asked = police(request.json, request.product, strict_reasoning=self.strict_reasoning)
        if isinstance(asked, Refusal):
            return refused(request, asked)
        if (refusal := admission.refusal(account, asked, request.now)) is not None:
            return refused(request, refusal)
        try:
            script = self._script(request, asked)
        except BadScriptError as error:
            return refused(request, invalid_request(f"Invalid request: bad simulate directive: {error}"))
        if (refusal := refusal_of(script)) is not None:
            return refused(request, refusal, script)
        admission.count(account, asked, request.now)
        return msgspec.structs.replace(self._said(request, asked, script), account=account)

    def _script(self, request: Request, asked: Asked) -> Script:
        """One that was planned, or else what the request itself asks for, in the weather of the day."""
        planned = self.queue.take("chat", request.credential)
        return planned or self.weather.befalls(directive(asked.messages) or DEFAULT)

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
        if script.answer_as == "stream" or (script.answer_as == "asked" and asked.stream):
            return streamed(request, script, shapes.chunks(reply), usage.times(choices))
        return whole(request, script, shapes.whole(reply), usage.times(choices))


_ROUTES: Final[Mapping[tuple[str, str], Literal["chat"] | Told]] = {
    ("POST", "/v1/chat/completions"): "chat",
    ("POST", f"{CODE_ROOT}/v1/chat/completions"): "chat",
    ("GET", "/v1/models"): "models",
    ("GET", f"{CODE_ROOT}/v1/models"): "models",
    ("GET", "/v1/users/me/balance"): "balance",
    ("GET", f"{CODE_ROOT}/v1/usages"): "usages",
    ("GET", f"{CODE_ROOT}/v1/me"): "me",
}

_TOLD: Final[Mapping[Told, Callable[[Desk, Request, AccountState], JsonObject]]] = {
    "models": lambda desk, request, account: models.listing(request.product),
    "balance": lambda desk, request, account: vendor.balance(account),
    "usages": lambda desk, request, account: vendor.usages(account, desk.knobs, request.now),
    "me": lambda desk, request, account: vendor.me(account),
}

_UNKNOWN_KEY: Final[Mapping[Product, Refusal]] = {
    Product.PLATFORM: INVALID_AUTHENTICATION,
    Product.KIMI_CODE: KIMI_CODE_INVALID_KEY,
}


def _no_route(request: Request) -> Refusal:
    if request.product is Product.KIMI_CODE:
        return METHOD_NOT_FOUND
    return route_not_found(request.method, request.path, request.user_agent)
