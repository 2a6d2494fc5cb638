"""Tokens as the web site gives them: JWTs of three base64url parts, signed with a key that is no secret."""

import base64
import hashlib
import hmac
from typing import Final, Literal

import msgspec

from moongate.simulator.values import JsonObject, as_object, dumps, loads

TokenKind = Literal["access", "refresh"]

_KEY: Final = b"the simulator signs with this"
_HEADER: Final[JsonObject] = {"alg": "HS512", "typ": "JWT"}


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a token is for. `device` and `session` are numbers of 19 digits."""

    subject: str
    device: str
    session: str
    region: str
    level: int
    is_newer: bool


def claims(kind: TokenKind, holder: Holder, serial: str, issued_at: int, expires_at: int) -> JsonObject:
    """Times are in seconds since 1970. The two forms were captured in 2026-06 and 2026-09; only the newer one has `aud`
    and `code_membership`, only the older one `space_id`."""
    membership: JsonObject = {"level": holder.level}
    common: JsonObject = {
        "typ": kind,
        "app_id": "kimi",
        "sub": holder.subject,
        "abstract_user_id": f"abstract-{holder.subject}",
        "ssid": holder.session,
        "device_id": holder.device,
        "region": holder.region,
        "membership": membership,
        "exp": expires_at,
        "iat": issued_at,
        "jti": serial,
    }
    if holder.is_newer:
        audience = ["kimi.com" if holder.region == "cn" else "kimi.ai"]
        return {"iss": "account", "aud": audience, **common, "code_membership": membership}
    return {"iss": "user-center", **common, "space_id": f"space-{holder.subject}"}


def mint(payload: JsonObject) -> str:
    signed = f"{_part(dumps(_HEADER))}.{_part(dumps(payload))}"
    return f"{signed}.{_part(_signature(signed))}"


def read(token: str) -> JsonObject | None:
    """The claims; None for what was not signed with this key."""
    signed, _, signature = token.rpartition(".")
    if not token.isascii() or not hmac.compare_digest(_part(_signature(signed)), signature):
        return None
    return as_object(loads(_whole(signed.partition(".")[2])))


def _signature(signed: str) -> bytes:
    return hmac.new(_KEY, signed.encode(), hashlib.sha512).digest()


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _whole(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
