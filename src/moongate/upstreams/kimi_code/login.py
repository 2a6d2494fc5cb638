"""How a person logs in to Kimi Code, and how a login is renewed: OAuth's device flow (RFC 8628), as the official
clients speak it (their public sources, 2026; what was measured is said where it matters).

Who asks is told honestly: our own name and version, the operator's user agent, and a number made for this login, so
that the vendor can tell one installation from another. Nothing is sent of the machine.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from moongate import __version__
from moongate.core.errors import GatewayError, Kind
from moongate.core.grant import Grant
from moongate.core.sealed import Sealed
from moongate.upstreams import refusals
from moongate.upstreams.refusals import Row, status
from moongate.wire.http import Flow, HttpCall, HttpReply
from moongate.wire.numbers import number

CLIENT_ID = "17e5f671-d194-4dfb-9706-5516cb48c098"
"""The public client of Kimi Code's own programs, in both regions: a name and no secret (their sources, 2026)."""

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

TOKEN_LIFETIME = 900.0
"""Seconds a token lives where that is not told: what was measured in 2026."""
CODE_LIFETIME = 1800.0
INTERVAL = 5.0
"""Seconds between two polls where that is not told (RFC 8628, 3.2)."""
LEAST_INTERVAL = 1.0
SLOWER = 5.0
"""Seconds that `slow_down` adds to the interval, for this and all later polls (RFC 8628, 3.5)."""

_MISDIRECTED = Row(Kind.MISDIRECTED, status(404), hint="is KIMI_CODE_OAUTH_HOST right?")

LOGIN = (
    Row(Kind.LOGIN_EXPIRED, text=r"^expired_token\b", hint="the code was not confirmed in time"),
    Row(Kind.CREDENTIAL_REFUSED, text=r"^access_denied\b", hint="the login was declined"),
    _MISDIRECTED,
)

_LOG_IN = "log in again: `moongate login kimi-code`"

RENEWAL = (
    Row(Kind.LOGIN_EXPIRED, text=r"^invalid_grant\b", hint=_LOG_IN),  # it comes with 400
    Row(Kind.LOGIN_EXPIRED, status(401), hint=_LOG_IN),
    Row(Kind.LOGIN_EXPIRED, status(403), hint=_LOG_IN),
    _MISDIRECTED,
)
"""How a login ends. Everything else may pass, or is a fault of ours or the server's."""

_TOKEN = re.compile(r"[!-~]{1,16384}")
_URL = re.compile(r"https?://[!-~]{1,2000}")

NAME = "kimi-code"
"""What a login is called that was given no name."""

_object = msgspec.json.Decoder(dict[str, object]).decode


class Identity(Struct, frozen=True):
    """Who asks. `device`: a number made for this login; a login that is renewed has its own already."""

    user_agent: str
    device: str = ""


class DeviceCode(Struct, frozen=True):
    """What a person is to open and to compare, and for how long: `lifetime` and `interval` are in seconds.

    `url` is complete, with the code in it, where the server made one.
    """

    code: Sealed
    user_code: str
    url: str
    lifetime: float
    interval: float


class Waiting(Struct, frozen=True):
    """Nobody has confirmed or declined yet. `slow_down`: and it was asked too often, see `SLOWER`."""

    kind: Literal["pending", "slow_down"]


WAITING = {"authorization_pending": Waiting("pending"), "slow_down": Waiting("slow_down")}


def command(name: str = NAME) -> str:
    """By which a person makes this login anew."""
    return "moongate login kimi-code" + (f" --name {name}" if name != NAME else "")


def begin(host: str, identity: Identity) -> Flow[DeviceCode]:
    """A code for a person to confirm. Raises GatewayError."""
    reply = yield _call(host, "device_authorization", identity, {})
    said = _said(reply, LOGIN)
    url = next((url for name in ("verification_uri_complete", "verification_uri") if (url := _url(said, name))), "")
    code, user_code = _token(said, "device_code"), _word(said, "user_code")
    if not url or not code or not user_code:
        raise GatewayError.protocol("the login server's answer has no code in it, or no address to confirm it at")
    lifetime = _seconds(said, "expires_in", CODE_LIFETIME)
    interval = max(LEAST_INTERVAL, _seconds(said, "interval", INTERVAL))
    return DeviceCode(Sealed(code), user_code, url, lifetime, interval)


def poll(
    host: str, code: DeviceCode, identity: Identity, clock: Callable[[], float] = time.time
) -> Flow[Grant | Waiting]:
    """Whether it was confirmed. `clock` is in seconds since 1970.

    Raises GatewayError: LOGIN_EXPIRED where nobody did so in time, CREDENTIAL_REFUSED where it was declined. What may
    pass has a kind that may be tried again.
    """
    asked_at = clock()
    reply = yield _call(host, "token", identity, {"device_code": code.code.reveal(), "grant_type": DEVICE_GRANT})
    word = _fields(reply.body).get("error")  # before the status: 400 was measured, 200 is reported
    if isinstance(word, str) and word in WAITING:
        return WAITING[word]
    return _grant(_said(reply, LOGIN, code.code), asked_at, identity.device, refresh=None)


def renew(host: str, grant: Grant, identity: Identity, clock: Callable[[], float] = time.time) -> Flow[Grant]:
    """The grant's successor; the grant itself is worth nothing any more. `clock` is in seconds since 1970.

    Raises GatewayError: LOGIN_EXPIRED where a person has to log in again. What may pass has a kind that may be tried
    again.
    """
    asked_at = clock()
    form = {"grant_type": "refresh_token", "refresh_token": grant.refresh.reveal()}
    reply = yield _call(host, "token", Identity(identity.user_agent, grant.device), form)
    try:
        said = _said(reply, RENEWAL, grant.refresh, grant.access)
    except GatewayError as error:
        if error.kind.retry == "never":  # who asks for a model meanwhile is not to blame
            raise GatewayError(Kind.FAILED, error.message, upstream_status=error.upstream_status) from error
        raise
    return _grant(said, asked_at, grant.device, refresh=grant.refresh)


def _call(host: str, path: str, identity: Identity, form: Mapping[str, str]) -> HttpCall:
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": identity.user_agent,
        "x-msh-platform": "moongate",
        "x-msh-version": __version__,
        **({"x-msh-device-id": identity.device} if identity.device else {}),
    }
    body = urlencode({"client_id": CLIENT_ID, **form}).encode()
    return HttpCall("POST", f"{host.rstrip('/')}/api/oauth/{path}", headers, body)


def _said(reply: HttpReply, rows: Iterable[Row], *secrets: Sealed) -> Mapping[str, object]:
    """What was answered, if it was no refusal. Raises GatewayError."""
    said = _fields(reply.body)
    if said.get("error") or not 200 <= reply.head.status < 300:
        raise refusals.explain(rows, reply.head, reply.body, *(secret.reveal() for secret in secrets))
    return said


def _grant(said: Mapping[str, object], asked_at: float, device: str, *, refresh: Sealed | None) -> Grant:
    """`refresh`: what renews it if the answer names nothing else (RFC 6749, 6). Raises GatewayError (PROTOCOL)."""
    access, renewing = _token(said, "access_token"), _token(said, "refresh_token")
    if renewing:
        refresh = Sealed(renewing)
    if not access or refresh is None:
        raise GatewayError.protocol("the login server's answer has no tokens in it")
    lifetime = _seconds(said, "expires_in", TOKEN_LIFETIME)
    return Grant(Sealed(access), refresh, asked_at + lifetime, lifetime, device)


def _fields(body: bytes) -> Mapping[str, object]:
    try:
        return _object(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _seconds(said: Mapping[str, object], name: str, otherwise: float) -> float:
    told = number(said.get(name))
    return told if told is not None and told > 0 else otherwise


def _token(said: Mapping[str, object], name: str) -> str:
    """Fit to be sent in a header; empty where there is none."""
    value = said.get(name)
    return value if isinstance(value, str) and _TOKEN.fullmatch(value) else ""


def _word(said: Mapping[str, object], name: str) -> str:
    """Fit to be shown on a terminal; empty where there is none."""
    value = said.get(name)
    return value if isinstance(value, str) and value.isprintable() and len(value) <= 100 else ""


def _url(said: Mapping[str, object], name: str) -> str:
    """Fit to be shown on a terminal; empty where there is none."""
    value = said.get(name)
    return value if isinstance(value, str) and _URL.fullmatch(value) else ""
