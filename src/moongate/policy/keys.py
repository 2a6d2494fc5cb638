"""Callers' keys: who stands behind one, and whether one is needed.

Keys are kept as keyed digests. A digest under a key drawn at start cannot be steered by who guesses, so looking one up
takes the same time for any guess, right or wrong.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b

from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.identity import Caller
from moongate.core.sealed import Sealed

ANONYMOUS = Caller("anonymous", "anonymous", owner="anonymous")


class KeyPolicy(Struct, frozen=True, kw_only=True):
    """Which keys there are. `minted` are digests (see `digest`) of keys this gateway made, under their own `salt`.

    `required`: no request without a key. `tokens_accepted`: a caller may bring their own upstream credentials.
    """

    master: Sealed | None = None
    keys: tuple[Sealed, ...] = ()
    minted: tuple[bytes, ...] = ()
    salt: bytes = b""
    required: bool = False
    tokens_accepted: bool = False


def digest(key: str, salt: bytes) -> bytes:
    return blake2b(key.encode(errors="surrogateescape"), key=salt, digest_size=32).digest()


class Keyring:
    """`is_credential` tells whether a text has the shape of an upstream credential that can be used here. `owners` is
    the salt of the digests by which callers own things; the same as before a restart, so that they find them again."""

    def __init__(self, policy: KeyPolicy, is_credential: Callable[[str], bool], owners: bytes) -> None:
        self._policy = policy
        self._owners = owners
        self._is_credential = is_credential
        self._salt = secrets.token_bytes(32)
        self._callers = dict(self._known())

    def identify(self, headers: Mapping[str, str], *, required: bool = False) -> Caller:
        """`required`: a key is needed here, if there are any, though elsewhere it may not be.

        Raises GatewayError (UNAUTHENTICATED). Header names are in lower case.
        """
        sent = presented(headers)
        found = next(filter(None, map(self._known_as, sent)), None)
        found = found or next(filter(None, map(self._with_own, sent)), None)
        if found is None and (self._policy.required or (required and self._callers)):
            raise self._refused(sent)
        return found or ANONYMOUS

    def _known(self) -> Iterable[tuple[bytes, Caller]]:
        for place, key in enumerate(self._policy.keys, 1):
            yield self._looked_up(key), Caller("key", f"key-{place}", owner=self._owner(key.reveal()))
        if self._policy.master:
            master = self._policy.master
            yield self._looked_up(master), Caller("master", "master", owner=self._owner(master.reveal()))

    def _looked_up(self, key: Sealed) -> bytes:
        return digest(key.reveal(), self._salt)

    def _owner(self, presented: str) -> str:
        return digest(presented, self._owners).hex()

    def _known_as(self, presented: str) -> Caller | None:
        known = self._callers.get(digest(presented, self._salt))
        if known is None and self._policy.minted and digest(presented, self._policy.salt) in self._policy.minted:
            return Caller("key", "minted", owner=self._owner(presented))
        return known

    def _with_own(self, presented: str) -> Caller | None:
        tokens = tuple(token for part in presented.split(",") if (token := _bare(part)))
        if not self._policy.tokens_accepted or not tokens or not all(map(self._is_credential, tokens)):
            return None
        sealed = tuple(map(Sealed, tokens))
        return Caller("own credential", f"own {sealed[0]}", sealed, self._owner(",".join(tokens)))

    def _refused(self, sent: tuple[str, ...]) -> GatewayError:
        if not sent:
            message = "no API key was sent: use the header Authorization: Bearer <key>, or x-api-key: <key>"
        elif self._policy.tokens_accepted:
            message = "this is neither an API key known here nor an upstream credential (sk-kimi-…, sk-…, a web token)"
        else:
            message = "this API key is not known here"
        return GatewayError(Kind.UNAUTHENTICATED, message)


def presented(headers: Mapping[str, str]) -> tuple[str, ...]:
    """What was sent in either of the two places: some clients fill one with a placeholder and the other with a key."""
    sent = (_bare(headers.get("authorization", "")), headers.get("x-api-key", "").strip())
    return tuple(value for value in sent if value)


def _bare(value: str) -> str:
    """A credential without the word Bearer before it."""
    scheme, _, rest = value.strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else value.strip()
