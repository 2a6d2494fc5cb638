"""The site's page, of which one thing is wanted: the nonce that each message must carry."""

import re
from itertools import islice

import msgspec

from moongate.core.errors import GatewayError, Kind
from moongate.upstreams.kimi_site.refusals import challenged, explain, is_challenge
from moongate.wire.http import HttpReply

LIFETIME = 11 * 3600.0
"""Seconds a nonce is used. WordPress takes it for 12 to 24 hours."""

READ = 4 * 1024 * 1024
"""Bytes of the page that are looked at."""

_VARIABLE = re.compile(rb"\bkimi_ajax\s{0,100}=\s{0,100}")
_OBJECT = re.compile(rb"(\{.{0,8192}?\})\s{0,100};", re.DOTALL)
_LOOSE = re.compile(rb"""\{[^<>]{0,4096}?["']?\bnonce["']?\s*:\s*["']([\w-]{1,128})["']""")
"""Where the object is no JSON: some clients look for the one member alone (public sources, 2025-10)."""

MOST = 10
"""Places of the page that are looked at."""

_NONCE = re.compile(r"[\w-]{1,128}", re.ASCII)

_object = msgspec.json.Decoder(dict[str, object]).decode


class Nonce:
    """The nonce that was read last, for all who ask. `when` it was, in seconds since 1970."""

    def __init__(self) -> None:
        self._value = ""
        self._when = 0.0

    def __repr__(self) -> str:
        return f"Nonce({'known' if self._value else 'unknown'})"

    def at(self, now: float) -> str:
        """Empty where there is none, or none that would still be taken."""
        return self._value if abs(now - self._when) < LIFETIME else ""

    def learn(self, value: str, when: float) -> None:
        self._value, self._when = value, when

    def drop(self, value: str) -> None:
        """It was not taken. What somebody else has read meanwhile stays."""
        if self._value == value:
            self._value = ""


def read(reply: HttpReply) -> str:
    """The nonce in the page. Raises GatewayError: MISDIRECTED where the page is another."""
    if not 200 <= reply.head.status < 300:
        raise explain(reply.head, reply.body)
    if nonce := _found(reply.body[:READ]):
        return nonce
    if is_challenge(reply.head, reply.body):
        raise challenged(reply.head, reply.body)
    message = "the site's page has no `kimi_ajax` with a nonce in it: is the base URL right, or has the site changed?"
    raise GatewayError(Kind.MISDIRECTED, message, upstream_status=reply.head.status)


def _found(page: bytes) -> str:
    """Empty where there is none."""
    places = [found.end() for found in islice(_VARIABLE.finditer(page), MOST)]
    objects = (found[1] for place in places if (found := _OBJECT.match(page, place)))
    loose = (found[1].decode() for place in places if (found := _LOOSE.match(page, place)))
    return next((nonce for nonce in (*map(_nonce, objects), *loose) if nonce), "")


def _nonce(variable: bytes) -> str:
    try:
        value = _object(variable).get("nonce")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return value if isinstance(value, str) and _NONCE.fullmatch(value) else ""
