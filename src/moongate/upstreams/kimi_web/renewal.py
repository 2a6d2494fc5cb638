"""How a web account's login is renewed: by its refresh token, at one of two places.

The place of today is the vendor's own login server (seen from 2026-07 on); before that it was the site itself, and in
2026 several clients still found it there. So the newer one is asked first, and the older where that did not do. Both
tokens are new after a renewal, and those before are worth nothing.
"""

import re
import time
from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.grant import Grant
from moongate.core.sealed import Sealed
from moongate.upstreams.kimi_web.answers import Members, is_absent, said, word
from moongate.upstreams.kimi_web.claims import bare, claims_of
from moongate.upstreams.kimi_web.headers import JSON, of_claims, of_client
from moongate.upstreams.kimi_web.refusals import explain
from moongate.upstreams.pages import is_page
from moongate.wire.http import Flow, HttpCall, HttpReply

CURRENT = "/api/account.gateway.v1.AuthService/RefreshToken"
LEGACY = "/api/auth/token/refresh"

LIFETIME = 900.0
"""Seconds an access token lives where it does not say so itself: what was measured from 2026-07 on."""

REFUSING = frozenset({400, 401, 403})

_REFUSAL = re.compile(r"auth\.|unauthenticated$|permission_denied$|invalid_argument$")
"""What a refusal is called that came with another status."""

_TOKEN = re.compile(r"[!-~]{1,16384}")

_write = msgspec.json.Encoder().encode

Verdict: TypeAlias = Literal["refused", "absent", "passing"]


class Miss(Struct, frozen=True):
    """An answer with no tokens in it, or none at all (`status` 0). `refused`: this login is not good; `absent`: nobody
    renews logins there; `passing`: it may do so another time."""

    verdict: Verdict
    place: str
    status: int
    reason: str
    retry_after: float | None = None

    def __str__(self) -> str:
        return f"{self.place} answered {self.status}: {self.reason}" if self.status else f"{self.place}: {self.reason}"


def first(refresh_token: str) -> Grant:
    """What a refresh token is before it was ever used: a grant that has to be renewed before anything else."""
    token = bare(refresh_token)
    claims = claims_of(token)
    return Grant(Sealed(""), Sealed(token), 0.0, LIFETIME, claims.device if claims else "")


def renew(
    auth_url: str, web_url: str, grant: Grant, user_agent: str, clock: Callable[[], float] = time.time
) -> Flow[Grant]:
    """The grant's successor. `auth_url` is the login server's address, `web_url` the site's; `clock` is in seconds
    since 1970.

    Raises GatewayError: LOGIN_EXPIRED where a person has to log in again, MISDIRECTED where neither place renews
    logins, else FAILED, which may be tried again.
    """
    asked_at = clock()
    misses = []
    for call in (_current(auth_url, grant, user_agent), _legacy(web_url, grant, user_agent)):
        try:
            reply = yield call
        except GatewayError as error:
            if error.kind is not Kind.UNREACHABLE:  # it may have been heard, and then the old tokens are worth nothing
                raise
            misses.append(Miss("passing", call.url, 0, error.message))
            continue
        renewed = _renewed(reply, grant, asked_at)
        if renewed is not None:
            return renewed
        misses.append(_miss(call, reply, grant))
    raise _outcome(misses)


def _current(auth_url: str, grant: Grant, user_agent: str) -> HttpCall:
    body = _write({"refresh_token": grant.refresh.reveal()})
    headers = {"content-type": JSON, "connect-protocol-version": "1", **_headers(grant, user_agent)}
    return HttpCall("POST", f"{auth_url.rstrip('/')}{CURRENT}", headers, body)


def _legacy(web_url: str, grant: Grant, user_agent: str) -> HttpCall:
    headers = {"authorization": f"Bearer {grant.refresh.reveal()}", **_headers(grant, user_agent)}
    return HttpCall("GET", f"{web_url.rstrip('/')}{LEGACY}", headers)


def _headers(grant: Grant, user_agent: str) -> dict[str, str]:
    return {"accept": JSON, **of_client(user_agent), **of_claims(claims_of(grant.refresh.reveal()))}


def _renewed(reply: HttpReply, grant: Grant, asked_at: float) -> Grant | None:
    if not 200 <= reply.head.status < 300:
        return None
    told = said(reply.body)
    access, refresh = (
        _token(told, "accessToken", "access_token", "token"),
        _token(told, "refreshToken", "refresh_token"),
    )
    if not access:
        return None
    return _grant(access, refresh or grant.refresh.reveal(), asked_at, grant.device)


def _grant(access: str, refresh: str, asked_at: float, device: str) -> Grant:
    """A token that is new and yet over by our clock was issued by another clock: it lives from now on."""
    claims = claims_of(access)
    end = claims.expires_at if claims else None
    lifetime = (claims.lifetime if claims else None) or LIFETIME
    if end is None or end <= asked_at:
        end = asked_at + lifetime
    elif claims and claims.lifetime is None:
        lifetime = end - asked_at
    return Grant(Sealed(access), Sealed(refresh), end, lifetime, device or (claims.device if claims else ""))


def _miss(call: HttpCall, reply: HttpReply, grant: Grant) -> Miss:
    secrets = (secret.reveal() for secret in (grant.refresh, grant.access))
    error = explain(reply.head, reply.body, *secrets)
    return Miss(_verdict(reply), call.url, reply.head.status, error.message, error.retry_after)


def _verdict(reply: HttpReply) -> Verdict:
    """A web page under a status that refuses is a firewall's, which knows nothing of logins."""
    if is_absent(reply):
        return "absent"
    says_no = reply.head.status in REFUSING or _REFUSAL.match(word(said(reply.body), "error_type", "code"))
    return "refused" if says_no and not is_page(reply.head, reply.body) else "passing"


def _outcome(misses: list[Miss]) -> GatewayError:
    """What may pass is tried again: a login that is given up too early costs a person's time."""
    verdicts = {miss.verdict for miss in misses}
    message = "; ".join(str(miss) for miss in misses)
    status = misses[0].status or None
    if "passing" in verdicts:
        wait = max((miss.retry_after for miss in misses if miss.retry_after is not None), default=None)
        return GatewayError(Kind.FAILED, message, retry_after=wait, upstream_status=status)
    if "refused" in verdicts:
        refused = next(miss.status for miss in misses if miss.verdict == "refused")
        return GatewayError(Kind.LOGIN_EXPIRED, f"log in again: {message}", upstream_status=refused)
    return GatewayError(Kind.MISDIRECTED, f"no place renews this login: {message}", upstream_status=status)


def _token(told: Members, *names: str) -> str:
    """Fit to be sent in a header; empty where there is none."""
    value = word(told, *names)
    return value if _TOKEN.fullmatch(value) else ""
