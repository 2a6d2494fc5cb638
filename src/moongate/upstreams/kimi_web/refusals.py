"""How Kimi's web chat refuses, in both generations: by HTTP status, in a trailer under 200, or inside a reply.

Read from what several independent clients take apart, 2024 to 2026-09; nobody has published the list of reasons. An
error is first brought into one form, `code:REASON` and a message, and then told by rows as everywhere else. Only an
error is ever searched for words, never what a reply says: the echo of a prompt about errors once broke a client.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.dialects.dialect import Explain
from moongate.upstreams import refusals
from moongate.upstreams.kimi_web.answers import Members, each, members, said, word
from moongate.upstreams.pages import is_page
from moongate.upstreams.refusals import Row, status
from moongate.wire.http import HttpHead

SAID_OK = HttpHead(200)
"""What an error inside a reply was told under."""

WITHDRAWN = "what had been shown of the answer was withdrawn"

REFUSALS = (
    Row(Kind.CREDENTIAL_REFUSED, text=r"^unauthenticated\b|^\S*REASON_INVALID_AUTH_TOKEN|^auth\.token\b"),
    Row(Kind.CONTEXT_EXCEEDED, text=r"^\S*(token_length_too_long|context_length|too_long)"),
    # No capture of a refusal for its content is known (2026-09); these are the words such reasons are made of.
    Row(Kind.CONTENT_REFUSED, text=r"^\S*(content|safety|sensitive|moderation|censor)"),
    Row(Kind.OVERLOADED, text=r"^\S*overload|^openai\.completion\.stream\b"),
    Row(Kind.RATE_LIMITED, text=r"^chat\.user_stream_pushing\b"),
    Row(Kind.RATE_LIMITED, text=r"^resource_exhausted\b.*(parallel|concurren|too many requests|并发|同时|频繁)"),
    Row(Kind.QUOTA_EXHAUSTED, text=r"^resource_exhausted\b.*(paywall|credit|quota|allowance|额度|用量|次数)"),
    Row(Kind.OVERLOADED, text=r"^resource_exhausted\b"),
    Row(Kind.CONTEXT_EXCEEDED, text=r"^invalid_argument\b.*(too long|\blength|context)"),
    Row(Kind.REQUEST_REFUSED, text=r"^(invalid_argument|out_of_range)\b"),
    Row(Kind.ACCOUNT_BARRED, text=r"^permission_denied\b"),
    Row(Kind.MODEL_NOT_SERVED, text=r"^not_found\b.*(model|模型)"),
    Row(Kind.REQUEST_REFUSED, text=r"^not_found\b|^\S+\.not_found\b"),
    Row(Kind.OVERLOADED, text=r"^unavailable\b"),
    Row(Kind.TIMED_OUT, text=r"^deadline_exceeded\b"),
    Row(Kind.MISDIRECTED, text=r"^unimplemented\b", hint="the site knows no such call: is the base URL right?"),
    Row(Kind.FAILED, text=r"^(internal|unknown|aborted|canceled|data_loss|failed_precondition)\b"),
    # Without a code of theirs. 403 is taken for a bad login by the clients that say what they make of it.
    Row(Kind.CREDENTIAL_REFUSED, status(401)),
    Row(Kind.CREDENTIAL_REFUSED, status(403)),
    Row(Kind.MISDIRECTED, status(404), r"^\s", hint="is the base URL right?"),
    Row(Kind.OVERLOADED, status(503)),
)

OF_A_CHAT = frozenset({"invalid_argument", "not_found", "permission_denied"})
"""Codes by which a chat that is gone, or someone else's, could be refused: what it really is, nobody has recorded."""

_STANDS = frozenset({Kind.CONTEXT_EXCEEDED, Kind.CONTENT_REFUSED, Kind.MISDIRECTED, Kind.CREDENTIAL_REFUSED})
"""What a new chat would not change."""


class Refusal(Struct, frozen=True):
    """An error in one form. `code`: Connect's, or the older generation's `error_type`. `message`: for people, in
    English where it came in several languages."""

    code: str = ""
    reason: str = ""
    message: str = ""
    is_retracted: bool = False

    @property
    def word(self) -> str:
        return f"{self.code}:{self.reason}" if self.reason else self.code

    def canonical(self) -> bytes:
        """As the rows' reader knows errors."""
        message = self.message or (f"the upstream refused: {self.word}" if self.word else "")
        if self.is_retracted:
            message = f"{message} ({WITHDRAWN})".strip()
        return msgspec.json.encode({"error": {"type": self.word, "message": message}})


def explain(head: HttpHead, body: bytes, *secrets: str) -> GatewayError:
    """The error a refusal stands for: an HTTP body, a trailer, an exception or an `error` event."""
    told = said(body)
    if is_page(head, body) or not told:
        return refusals.explain(REFUSALS, head, body, *secrets)
    return explain_error(told, *secrets, head=head)


def explain_error(told: Members, *secrets: str, head: HttpHead = SAID_OK) -> GatewayError:
    """The same of an error whose JSON has been read."""
    return refusals.explain(REFUSALS, head, read(told).canonical(), *secrets)


def of_a_continued_chat(explain: Explain) -> Explain:
    """Reads refusals where a chat was to be continued: what may mean that it is not there becomes CHAT_GONE."""

    def explained(head: HttpHead, body: bytes) -> GatewayError:
        error = explain(head, body)
        told = said(body)
        is_of_chat = bool(told) and (head.status == 404 or _is_of_chat(read(told).code))
        if not is_of_chat or error.kind in _STANDS:
            return error
        message = f"the chat that was to be continued was refused: {error.message}"
        return GatewayError(Kind.CHAT_GONE, message, upstream_status=head.status)

    return explained


def _is_of_chat(code: str) -> bool:
    return code in OF_A_CHAT or code.endswith(".not_found")


def read(told: Members) -> Refusal:
    """Raises nothing: what is not there is empty.

    Shapes seen: `code` at the top or under `error`; `reason` and `localizedMessage` under `details[].debug`, `debug`,
    or beside one another in an exception's `error`; a `paywall` in the error; `error_type` and `message`.
    """
    outer = members(told.get("exception")) or told
    inner = members(outer.get("error")) or outer
    places = tuple(_places(inner, outer))
    reason = next(filter(None, (word(place, "reason") for place in places)), "")
    return Refusal(
        code=next(filter(None, (word(place, "code", "error_type") for place in (inner, outer))), word(outer, "error")),
        reason=":".join(filter(None, (reason, "paywall" if inner.get("paywall") else ""))),
        message=_message(places, inner, outer),
        is_retracted=any("RETRACT" in word(place, "severity") for place in places),
    )


def _places(inner: Members, outer: Members) -> Iterator[Members]:
    """Where a reason and its message may stand."""
    for holder in (inner, outer):
        yield from (members(detail.get("debug")) for detail in each(holder.get("details")))
        yield members(holder.get("debug"))
        yield holder


def _message(places: tuple[Members, ...], inner: Members, outer: Members) -> str:
    localized = [one for place in places for one in _localized(place)]
    english = [one for one in localized if word(one, "locale").lower().startswith("en")]
    texts = (word(one, "message") for one in (*english, *localized, inner, outer))
    return next(filter(None, texts), "")


def _localized(place: Members) -> Iterator[Members]:
    found = place.get("localizedMessage", place.get("localized_message"))
    yield from each(found if isinstance(found, list) else [found])
