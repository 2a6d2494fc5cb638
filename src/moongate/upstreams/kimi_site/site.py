"""kimi-ai.chat as an upstream: a nonce from its page, then a form with one message, answered whole.

As its clients speak to it (public sources, 2025-10): any failure may mean that the nonce has lapsed, so it is read anew
and the message sent once more, and once only. No chat is continued: the whole conversation is in each message.
"""

import secrets
import string
import time
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urlencode

from moongate.core import estimate
from moongate.core.abilities import Abilities
from moongate.core.errors import GatewayError, Kind
from moongate.core.route import ListedModel, Route
from moongate.core.sealed import Sealed
from moongate.core.standing import Standing
from moongate.core.turn import Turn
from moongate.upstreams.kimi_site import answers, page
from moongate.upstreams.kimi_site.answers import AnswerDecoder, Asked
from moongate.upstreams.kimi_site.page import Nonce
from moongate.upstreams.kimi_site.refusals import explain
from moongate.upstreams.upstream import Opening
from moongate.wire.http import Flow, HttpCall, HttpReply

NAME = "kimi-site"
DIALECT = "kimi.site"

THERE = {
    "kimi-k2-instruct-0905": "moonshotai/Kimi-K2-Instruct-0905",
    "kimi-k2-instruct": "moonshotai/Kimi-K2-Instruct",
}
"""What a model is called there. An id with a slash is one of theirs already."""

MODELS = tuple(ListedModel(model, NAME) for model in THERE)

ESTIMATED = "usage is an estimate: the site counts no tokens"

LENGTH = 1000
"""Characters of a message, by a comment of one client's."""

PAGE_PATIENCE = 20.0
PATIENCE = 180.0
"""Seconds the page may take, and an answer, which comes when all of it is there: what its clients wait."""

_LETTERS = string.ascii_lowercase + string.digits


class KimiSite:
    """`base_url` is such as `https://kimi-ai.chat`. `pace`: seconds between the pieces of an answer told as a stream,
    for whoever tells it. `length`: the most characters of a message, None for no limit. `clock`: seconds since 1970."""

    name = NAME

    def __init__(
        self,
        base_url: str,
        user_agent: str,
        pace: float = 0.0,
        *,
        length: int | None = LENGTH,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.pace = pace
        self._base_url = base_url.rstrip("/")
        self._user_agent = user_agent
        self._length = length
        self._clock = clock
        self._nonce = Nonce()

    def abilities(self, model: str, dialect: str) -> Abilities:
        return Abilities(length=self._length, shortens=True, answers_whole=True)

    def open(self, turn: Turn, route: Route, credential: Sealed) -> Flow[Opening]:
        """Asks, too: the reply is small and whole, and has to be seen before it can be asked for again."""
        message, model = _message(turn), _model(route.model)
        now = self._clock()
        session = f"session_{int(now * 1000)}_{''.join(secrets.choice(_LETTERS) for _ in range(9))}"
        form = {"message": message, "model": model, "session_id": session}
        call, reply = yield from self._ask(form)
        tokens = estimate.asked(message.encode("utf-8", "replace"))
        asked = Asked(session, route.model, int(now), tokens, in_pieces=turn.ask.stream)
        return Opening(
            call,
            partial(AnswerDecoder, asked=asked),
            DIALECT,
            explain,
            answered=reply,
            pace=self.pace,
            notes=(ESTIMATED,),
        )

    def models(self, credential: Sealed) -> Flow[tuple[ListedModel, ...]]:
        """It lists none; these are what its page offers, if that is there. Raises GatewayError where it is not."""
        yield from self._known()
        return MODELS

    def standing(self, credential: Sealed) -> Flow[Standing | None]:
        yield from ()
        return None

    def group(self, model: str) -> str:
        return "all"

    def _ask(self, form: Mapping[str, str]) -> Flow[tuple[HttpCall, HttpReply]]:
        """The call that was answered, and the answer. Raises GatewayError where a second try went wrong as well, and
        where nothing was answered at all."""
        call, reply, refusal = yield from self._send(form)
        if refusal is not None:  # whatever it says, the nonce may have lapsed
            call, reply, refusal = yield from self._send(form)
        if refusal is not None:
            raise refusal
        return call, reply

    def _send(self, form: Mapping[str, str]) -> Flow[tuple[HttpCall, HttpReply, GatewayError | None]]:
        """With what is wrong with the answer, if anything is."""
        nonce = yield from self._known()
        call = self._call(form, nonce)
        reply = yield call
        try:
            answers.message(reply)
        except GatewayError as error:
            self._nonce.drop(nonce)
            return call, reply, error
        return call, reply, None

    def _known(self) -> Flow[str]:
        """The nonce, read from the page where nobody has done so yet."""
        if nonce := self._nonce.at(self._clock()):
            return nonce
        headers = {**self._headers(), "accept": "text/html", "cache-control": "no-cache"}
        reply = yield HttpCall("GET", f"{self._base_url}/chat/", headers, patience=PAGE_PATIENCE, via=NAME)
        nonce = page.read(reply)
        self._nonce.learn(nonce, self._clock())
        return nonce

    def _call(self, form: Mapping[str, str], nonce: str) -> HttpCall:
        headers = {
            **self._headers(),
            "accept": "application/json",
            "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
            "x-requested-with": "XMLHttpRequest",  # one client sends these two, others neither
            "referer": f"{self._base_url}/chat/",
        }
        fields = {"action": "kimi_send_message", "nonce": nonce, **form}
        body = urlencode(fields, errors="replace").encode()
        url = f"{self._base_url}/wp-admin/admin-ajax.php"
        return HttpCall("POST", url, headers, body, patience=PATIENCE, via=NAME)

    def _headers(self) -> dict[str, str]:
        return {"user-agent": self._user_agent, "accept-encoding": "identity"}


def _message(turn: Turn) -> str:
    """Raises GatewayError (INVALID_REQUEST) where there is nothing to send."""
    messages = turn.prompt().messages
    text = messages[-1].text if messages else ""
    if not text.strip():
        raise GatewayError(
            Kind.INVALID_REQUEST, "there is no text in what was asked, and this upstream takes only text"
        )
    return text


def _model(model: str) -> str:
    """What it is called there. Raises GatewayError (MODEL_NOT_SERVED)."""
    there = model if "/" in model else THERE.get(model, "")
    if not there:
        raise GatewayError(Kind.MODEL_NOT_SERVED, f"the site has no model {model!r}; it has {', '.join(THERE)}")
    return there
