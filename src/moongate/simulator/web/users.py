"""The users of the web site: their tokens, which rotate with every renewal, and what became of them."""

import math
import time
from typing import Final

import msgspec

from moongate.simulator.settable import change, shown
from moongate.simulator.values import JsonObject, as_text
from moongate.simulator.web.knobs import UserTerms, WebKnobs
from moongate.simulator.web.tokens import Holder, TokenKind, claims, mint, read

MOST: Final = 2000
_TOKENS_KEPT: Final = 200
_DEVICE: Final = 7_000_000_000_000_000_000
_SESSION: Final = 1_700_000_000_000_000_000


class User(UserTerms, eq=False, kw_only=True):
    """`refreshes` counts the renewals that happened, also those whose answer was lost; `reuses` are the last four
    characters of each refresh token that came again after it was spent, `active` the streams that run."""

    name: str
    number: int
    knobs: WebKnobs
    refreshes: int = 0
    reuses: list[str] = msgspec.field(default_factory=list)
    active: int = 0
    _minted: int = 0
    _access: dict[str, float] = msgspec.field(default_factory=dict)  # until when each is good
    _refresh: str = ""
    _is_logged_in: bool = False
    _spent: dict[str, float] = msgspec.field(default_factory=dict)  # since when

    @property
    def id(self) -> str:
        return f"user{self.number:016d}"

    @property
    def device(self) -> str:
        return str(_DEVICE + self.number)

    @property
    def session(self) -> str:
        return str(_SESSION + self.number)

    @property
    def access_token(self) -> str:
        """The newest one that is still good, or a new one."""
        now = time.time()
        good = (token for token, until in reversed(self._access.items()) if until > now)
        return next(good, None) or self._new_access()

    @property
    def refresh_token(self) -> str:
        """The one that is good, or was until the login ended."""
        if not self._refresh:
            self.log_in()
        return self._refresh

    def log_in(self) -> None:
        """A new login; what was issued before stays as it is."""
        self._refresh, self._is_logged_in = self._mint("refresh", self.knobs.refresh_lifetime), True

    def end_login(self) -> None:
        """From now on its refresh token is refused."""
        if not self._refresh:
            self.log_in()
        self._is_logged_in = False

    def revoke_access(self) -> None:
        """No access token of before is good any more."""
        self._access.clear()

    def lets_in(self, token: str) -> bool:
        return self._access.get(token, 0.0) > time.time()

    def renew(self, token: str) -> tuple[str, str] | None:
        """New access and refresh tokens; None for a refresh token that is not the one in force."""
        now = time.time()
        if token in self._spent:
            self.reuses.append(token[-4:])
            if now - self._spent[token] >= self.knobs.reuse_grace:
                return None
        elif token != self._refresh:
            return None
        if not self._is_logged_in:
            return None
        self._spent[self._refresh] = now
        _bound(self._spent)
        self.log_in()
        self.refreshes += 1
        return self._new_access(), self._refresh

    def change(self, given: object) -> None:
        """Set what is given as JSON. Raises ValueError."""
        change(self, UserTerms, given)

    def as_json(self) -> JsonObject:
        """With tokens: whoever controls the simulator is to use them."""
        counted: JsonObject = {"refreshes": self.refreshes, "reuses": self.reuses, "active": self.active}
        tokens: JsonObject = {"access_token": self.access_token, "refresh_token": self.refresh_token}
        return {"name": self.name, "id": self.id, **shown(self, UserTerms), **counted, **tokens}

    def _new_access(self) -> str:
        lifetime = self.knobs.access_lifetime
        token = self._mint("access", lifetime)
        self._access[token] = time.time() + lifetime
        _bound(self._access)
        return token

    def _mint(self, kind: TokenKind, lifetime: float) -> str:
        self._minted += 1
        now = math.floor(time.time())
        holder = Holder(
            subject=self.id,
            device=self.device,
            session=self.session,
            region=self.region,
            level=self.level,
            is_newer=self.claims == "newer",
        )
        return mint(claims(kind, holder, f"jti-{self.number}-{self._minted}", now, now + math.ceil(lifetime)))


class Users:
    """By name; those who came first are forgotten beyond 2000."""

    def __init__(self, knobs: WebKnobs) -> None:
        self._knobs = knobs
        self._count = 0
        self._by_name: dict[str, User] = {}

    def of(self, name: str) -> User:
        known = self._by_name.get(name)
        if known is not None:
            return known
        self._count += 1
        user = self._by_name[name] = User(name=name, number=self._count, knobs=self._knobs)
        if len(self._by_name) > MOST:
            del self._by_name[next(iter(self._by_name))]
        return user

    def holding(self, token: str, kind: TokenKind) -> User | None:
        """Whose token it is, whether or not it is still good; None for what was not issued here as this kind."""
        payload = read(token)
        if payload is None or payload.get("typ") != kind:
            return None
        subject = as_text(payload.get("sub"))
        return next((user for user in self._by_name.values() if user.id == subject), None)

    def clear(self) -> None:
        self._by_name.clear()


def _bound(tokens: dict[str, float]) -> None:
    if len(tokens) > _TOKENS_KEPT:
        del tokens[next(iter(tokens))]
