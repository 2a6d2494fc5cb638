"""What a refusal means, told by rows: status, type and message together, because no one of them is enough.

Kimi answers 403 `access_terminated_error` both to a barred client and to used-up quota, and 401 both to a bad key and
to a plan without the model; only the text tells. Each upstream's folder has its own rows; the first that matches wins.
"""

import re
import time
from collections.abc import Iterable

from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.limit import Limit, LimitName
from moongate.core.redact import redact
from moongate.dialects.openai_chat.client import error_of
from moongate.upstreams.pages import is_page, text_of
from moongate.wire.http import HttpHead
from moongate.wire.moments import http_date

_WAIT = re.compile(r"try again (?:after|in) (\d{1,6}(?:\.\d+)?) ?s(?:econds?)?\b|(\d{1,6}) ?秒[之以]?后", re.IGNORECASE)
_SECONDS = re.compile(r"\d{1,6}(?:\.\d{1,6})?", re.ASCII)

LONGEST_WAIT = 24 * 3600.0
"""Seconds a caller is told to wait at most, whatever the upstream says."""

TEXT_LIMIT = 4000
"""Characters of a refusal's text; the longest that was seen has a few hundred."""

HANDED_BACK = frozenset(
    {
        Kind.REQUEST_REFUSED,
        Kind.CONTENT_REFUSED,
        Kind.CONTEXT_EXCEEDED,
        Kind.MODEL_NOT_SERVED,
        Kind.CLIENT_BARRED,
        Kind.ACCOUNT_BARRED,
    }
)
"""Refusals whose `type` reaches the caller as it came; the rest have the gateway's own."""

STATUS_HANDED_BACK = HANDED_BACK - {Kind.MODEL_NOT_SERVED}
"""Those whose status does, too. A model that does not exist is told under 401 as well, which callers take for a bad key
of theirs."""


class Row(Struct, frozen=True):
    """Matches where every given condition holds. `status` is a range, `text` a pattern searched in type and message.

    `window`: the part of a plan's quota that is used up, as the vendor's standing names it; empty where it is not told.
    `limit`: what the account is allowed no more of, where the first group of `text` is how much that is.
    """

    kind: Kind
    status: range = range(100, 1000)
    text: str = ""
    hint: str = ""
    window: str = ""
    limit: LimitName | None = None


def status(code: int) -> range:
    return range(code, code + 1)


CLIENT_ERRORS = range(400, 500)
SERVER_ERRORS = range(500, 1000)

COMMON = (
    Row(Kind.CONTENT_REFUSED, CLIENT_ERRORS, r"^content_filter\b|considered high risk"),
    Row(
        Kind.CONTEXT_EXCEEDED,
        CLIENT_ERRORS,
        r"exceeded model token limit|Input token length too long|total message size \d+ exceeds limit",
    ),
    Row(Kind.OVERLOADED, status(529)),
    Row(Kind.OVERLOADED, range(400, 600), r"engine_overloaded_error|\boverload"),
    Row(Kind.RATE_LIMITED, status(429)),
    Row(Kind.TIMED_OUT, status(504)),
    Row(Kind.TIMED_OUT, status(524)),  # a CDN's
    Row(Kind.TIMED_OUT, status(408)),
    Row(Kind.UNREACHABLE, status(407), hint="the proxy on the way asks for a password"),
    Row(Kind.FAILED, status(499)),  # "client closed request": the client it speaks of is us
    Row(Kind.REQUEST_REFUSED, CLIENT_ERRORS),
    Row(Kind.FAILED, SERVER_ERRORS),
    Row(Kind.FAILED),
)
"""The end of every upstream's table. Anything that matches nothing else is a failure of the upstream."""

_IN_FRONT = "said by something in front of the upstream"
_FIREWALL = f"{_IN_FRONT}, such as a firewall: it may not like this machine's address"

PAGES = (
    Row(Kind.CREDENTIAL_REFUSED, status(401), hint=f"{_IN_FRONT}: is the base URL right?"),
    Row(Kind.MISDIRECTED, range(404, 406), hint="a web page: is the base URL right?"),
    Row(Kind.FAILED, range(400, 407), hint=_FIREWALL),
    Row(Kind.REQUEST_REFUSED, status(413), hint=_IN_FRONT),
    Row(Kind.RATE_LIMITED, status(429), hint=f"{_IN_FRONT}, of this machine's address"),
    Row(Kind.FAILED, range(409, 499), hint=_FIREWALL),
    *COMMON,
)
"""What a web page means where JSON was due: a proxy, a CDN or a firewall answered, and the upstream was not asked.

So it says nothing about the account, which was not looked at. 403 is the case that matters: such a page is a firewall's
judgement of an address, or a challenge that passes. To bar the account for it, or the client for good, would both be
false; as a failure it is tried again, and somewhere else where there is another account. 429 is a limit all the same.
520 to 526 are a CDN's words for an upstream that it cannot reach: failures, like most of 5xx.
"""

STANDS_FOR = (
    (r"^(rate_limit|engine_overloaded|exceeded_current_quota)", 429),
    (r"^(access_terminated|permission)", 403),
    (r"authentication|incorrect_api_key", 401),
    (r"^resource_not_found", 404),
    (r"^(invalid_request|content_filter)", 400),
    (r"", 500),
)
"""An error told inside a reply that began with 200 has lost its status; its type says which it would have been."""


def explain(rows: Iterable[Row], head: HttpHead, body: bytes, *secrets: str) -> GatewayError:
    """The error a refusal stands for, its text fit to be shown: no markup, no credential, no account id."""
    is_from_between = is_page(head, body)
    message, word = (text_of(body), "") if is_from_between else error_of(body)
    code = head.status if head.status >= 400 else _stands_for(word)
    table = PAGES if is_from_between else (*rows, *COMMON)
    text = f"{word} {message}"[:TEXT_LIMIT]
    row, found = next((row, found) for row in table if (found := _match(row, code, text)))
    message = (
        " ".join(redact(message, *secrets).split())[:TEXT_LIMIT]
        or f"the upstream answered {head.status} and said nothing"
    )
    handed_back = row.kind in HANDED_BACK
    return GatewayError(
        row.kind,
        f"{message} ({row.hint})" if row.hint else message,
        status=code if row.kind in STATUS_HANDED_BACK and code in CLIENT_ERRORS else None,
        type=redact(word, *secrets)[:100] if handed_back and word else None,
        retry_after=_wait(head, message),
        upstream_status=head.status,
        window=row.window,
        limit=Limit(row.limit, int(found[1])) if row.limit else None,
    )


def _stands_for(word: str) -> int:
    return next(code for pattern, code in STANDS_FOR if re.search(pattern, word))


def _match(row: Row, code: int, text: str) -> re.Match[str] | None:
    return re.search(row.text, text, re.IGNORECASE) if code in row.status else None


def _wait(head: HttpHead, message: str) -> float | None:
    """Seconds, from the header, as a number or as a date, or from the text of the refusal."""
    said = head.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(said):
        return min(float(said), LONGEST_WAIT)
    until = http_date(head.headers, "retry-after")
    if until is not None:
        now = http_date(head.headers, "date")  # their clock, as it was theirs that the moment was read from
        return min(max(0.0, until - (time.time() if now is None else now)), LONGEST_WAIT)
    found = _WAIT.search(message)
    return min(float(found[1] or found[2]), LONGEST_WAIT) if found else None
