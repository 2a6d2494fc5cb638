"""What a web account's token says of itself.

Tokens are JWTs signed with a key of the vendor's (HS512, captured 2026-06 and 2026-09). Nobody else can check that
signature, and nothing here does: claims tell how to use a token and never whether to trust it.
"""

import binascii
import re
from base64 import urlsafe_b64decode
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from moongate.upstreams.kimi_web.answers import Members, said, word
from moongate.wire.numbers import number

TokenKind: TypeAlias = Literal["access", "refresh"]

KINDS: dict[object, TokenKind] = {"access": "access", "refresh": "refresh"}
"""By `typ`. That it is a JWT tells nothing, as both kinds are."""

APP = "kimi"

LONGEST = 16 * 1024
"""Characters of a token; those captured have under a thousand."""

_PARTS = re.compile(r"eyJ[\w-]+\.([\w-]+)\.[\w-]*", re.ASCII)
_FIT = re.compile(r"[!-~]+")
"""To be sent in a header."""
_BEARER = re.compile(r"bearer\s+", re.IGNORECASE)


class Claims(Struct, frozen=True):
    """Empty or None is what the token does not say. Moments are in seconds since 1970; `session` is called `ssid`
    there; `region` is `cn` or `overseas`; `audience` names sites, such as `kimi.ai` (since 2026-09)."""

    kind: TokenKind | None = None
    app: str = ""
    subject: str = ""
    device: str = ""
    session: str = ""
    region: str = ""
    audience: tuple[str, ...] = ()
    issued_at: float | None = None
    expires_at: float | None = None

    @property
    def lifetime(self) -> float | None:
        """Seconds from its issue to its end."""
        if self.issued_at is None or self.expires_at is None or self.expires_at <= self.issued_at:
            return None
        return self.expires_at - self.issued_at


def bare(text: str) -> str:
    """The token in what a person copied: with `Bearer` before it, in quotes, or as the list of parts that some browsers
    show where the site keeps it."""
    text = text.strip()
    if (begin := _BEARER.match(text)) is not None:
        text = text[begin.end() :]
    if len(text) > 2 * LONGEST or text[:1] not in ("[", '"'):
        return text
    try:
        read = msgspec.json.decode(text, type=str | list[str])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text
    token = read if isinstance(read, str) else ".".join(read)
    return token if _FIT.fullmatch(token) else text


def claims_of(token: str) -> Claims | None:
    """None for what is no JWT. Its signature is not checked."""
    payload = _payload(bare(token))
    if not payload:
        return None
    return Claims(
        kind=KINDS.get(word(payload, "typ")),
        app=word(payload, "app_id"),
        subject=_name(payload, "sub"),
        device=_name(payload, "device_id"),
        session=_name(payload, "ssid"),
        region=word(payload, "region"),
        audience=_audience(payload.get("aud")),
        issued_at=number(payload.get("iat")),
        expires_at=number(payload.get("exp")),
    )


def is_web_token(text: str) -> bool:
    """Whether a credential is one of the web site's, by what it says. All that were captured name the app; a token that
    does not is somebody else's, and must not be sent there."""
    claims = claims_of(text)
    return claims is not None and claims.app == APP


def _payload(token: str) -> Members:
    parts = _PARTS.fullmatch(token) if len(token) <= LONGEST else None
    if parts is None:
        return {}
    try:
        return said(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except binascii.Error:  # one character too many
        return {}


def _name(payload: Members, name: str) -> str:
    """Numbers of devices and sessions have 19 digits, and may be written as a text or as a number."""
    value = payload.get(name)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else word(payload, name)


def _audience(value: object) -> tuple[str, ...]:
    """One name may stand without a list (RFC 7519, 4.1.3)."""
    named = value if isinstance(value, list) else [value]
    return tuple(name for name in named if isinstance(name, str))
