"""How the site refuses, and how what stands in front of it does. Its own words are not on record (2026-11), so nothing
is read from them; the numbers are those of WordPress."""

import re

from moongate.core.errors import GatewayError, Kind
from moongate.core.redact import redact
from moongate.upstreams import pages, refusals
from moongate.upstreams.pages import text_of
from moongate.upstreams.refusals import Row, status
from moongate.wire.http import HttpHead, HttpReply

SHOWN = 300
"""Characters of the site's own words."""

_UNASKED = (403, 503)
"""Statuses under which any page is taken for a challenge, but one that speaks of maintenance."""

_MARKS = re.compile(
    rb"just a moment|_cf_chl_opt|cf-chl|/cdn-cgi/challenge-platform|checking your browser", re.IGNORECASE
)
_MAINTENANCE = re.compile(r"maintenance", re.IGNORECASE)

HELP = (
    "the site's protection against bots does not like this client or this machine's address; the extra "
    "`moongate[cloudscraper]` may help"
)

ROWS = (
    Row(Kind.MISDIRECTED, range(404, 406), hint="is the site's base URL right?"),
    # WordPress answers a nonce it does not know with 403 and `-1`, an action it does not know with 400 and `0`. Nobody
    # has a credential here, and the caller asked for neither: that is no fault of theirs.
    Row(Kind.FAILED, status(400), r"^ ?0$", hint="the site knows no such request any more"),
    Row(Kind.FAILED, status(403), r"^ ?-1$", hint="the site did not take the nonce of its own page"),
    Row(Kind.FAILED, range(400, 404)),
)


def explain(head: HttpHead, body: bytes) -> GatewayError:
    """The error a status that is no success stands for."""
    if is_challenge(head, body):
        return challenged(head, body)
    if 300 <= head.status < 400:
        place = _fit(head.headers.get("location", "")) or "another place"
        message = f"the site has moved to {place}: is its base URL right?"
        return GatewayError(Kind.MISDIRECTED, message, upstream_status=head.status)
    return refusals.explain(ROWS, head if is_page(head, body) else HttpHead(head.status, _untitled(head)), body)


def is_page(head: HttpHead, body: bytes) -> bool:
    """WordPress calls everything HTML, its bare numbers too: only what has markup in it is."""
    return pages.is_page(head if b"<" in body[: pages.READ] else HttpHead(head.status), body)


def is_challenge(head: HttpHead, body: bytes) -> bool:
    """Whether a page asks for a proof that no bot is there."""
    if head.headers.get("cf-mitigated", "").lower() == "challenge":
        return True
    if not is_page(head, body):
        return False
    if head.status in _UNASKED:
        return _MAINTENANCE.search(text_of(body)) is None
    return _MARKS.search(body[: pages.READ]) is not None


def challenged(head: HttpHead, body: bytes) -> GatewayError:
    """It may pass, and a person has to see to it where it does not; to ask again at once would not help."""
    title = _fit(text_of(body))
    page = f' with the page "{title}"' if title else ""
    message = f"a bot challenge: the site was asked and something in front of it answered {head.status}{page}; {HELP}"
    return GatewayError(Kind.CHALLENGED, message, upstream_status=head.status)


def denied(reply: HttpReply, words: str) -> GatewayError:
    """`words`: what the site said beside `"success":false`."""
    said = _fit(text_of(words.encode("utf-8", "replace")))
    message = f"the site refused the message: {said}" if said else "the site refused the message and did not say why"
    return GatewayError(Kind.FAILED, message, upstream_status=reply.head.status)


def _untitled(head: HttpHead) -> dict[str, str]:
    """The headers without the wrong name for what is no page."""
    return {name: value for name, value in head.headers.items() if name != "content-type"}


def _fit(text: str) -> str:
    """To be shown to whoever asked."""
    return " ".join(redact(text).split())[:SHOWN]
