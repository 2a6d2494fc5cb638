"""Kimi Code's login server: a device code that somebody confirms, short tokens, and refresh tokens good for one use.

It behaves as measured in 2026-08. Names of the members are settings that a test may change at any time.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from moongate.simulator.forms import INVALID_GRANT, Reply, granted, missing, plain, read_form, refused, reply
from moongate.simulator.knobs import LoginKnobs
from moongate.simulator.settable import change, restore, shown
from moongate.simulator.values import JsonObject

T = TypeVar("T")

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
MOST: Final = 5000
"""Of each kind of code and token that are remembered."""


class Device(msgspec.Struct):
    user_code: str
    expires_at: float
    polls: int = 0
    polled_at: float = 0.0
    verdict: str = ""  # approved, denied, or nothing yet


class Access(msgspec.Struct):
    login: str
    expires_at: float


class OAuth(LoginKnobs, eq=False):
    """`refreshes` counts those that succeeded."""

    refreshes: int = 0
    _count: int = 0
    _devices: dict[str, Device] = msgspec.field(default_factory=dict)
    _access: dict[str, Access] = msgspec.field(default_factory=dict)
    _refresh: dict[str, str] = msgspec.field(default_factory=dict)
    _spent: dict[str, str] = msgspec.field(default_factory=dict)

    def clear(self) -> None:
        restore(self)

    def change(self, given: object) -> None:
        """Set what is given as JSON. Raises ValueError."""
        change(self, LoginKnobs, given)

    def as_json(self) -> JsonObject:
        return {**shown(self, LoginKnobs), "refreshes": self.refreshes}

    def grant(self, lifetime: float | None = None) -> tuple[str, str, float]:
        """A login without the ceremony: access token, refresh token, and the seconds the former lives."""
        return self._issue(f"login-{self._next()}", lifetime)

    def approve(self, user_code: str) -> bool:
        """Whether there is such a code; who polls with its device code is then logged in."""
        return self._decide(user_code, "approved")

    def deny(self, user_code: str) -> bool:
        return self._decide(user_code, "denied")

    def expire_access(self, access: str) -> None:
        self._access[access].expires_at = 0.0

    def revoke(self, refresh: str) -> None:
        self._refresh.pop(refresh, None)

    def login_of(self, access: str) -> str:
        """The login an access token belongs to, also one that has expired; empty for what was not issued here."""
        known = self._access.get(access)
        return known.login if known else ""

    def lets_in(self, access: str) -> bool:
        known = self._access.get(access)
        if known is None:
            return not self.strict
        return known.expires_at - self.early_rejection > time.time()

    def begin(self, content_type: str, body: bytes) -> Reply:
        """`POST /api/oauth/device_authorization`."""
        form = read_form(content_type, body)
        if isinstance(form, Reply):
            return form
        number = self._next()
        device_code, user_code = f"device-example-{number}", f"ABCD-{1000 + number}"
        _keep(self._devices, device_code, Device(user_code, time.time() + self.expires_in))
        url = "https://www.kimi.example/code/authorize_device"
        return reply(
            200,
            {
                "device_code": device_code,
                "user_code": user_code,
                "verification_uri": url,
                "verification_uri_complete": f"{url}?user_code={user_code}",
                "expires_in": plain(self.expires_in),
                "interval": plain(self.interval),
            },
        )

    async def token(self, content_type: str, body: bytes) -> Reply:
        """`POST /api/oauth/token`."""
        await asyncio.sleep(self.delay)
        if self.fail_next:
            return reply(self.fail_next.pop(0), {"error": "temporarily_unavailable"})
        form = read_form(content_type, body)
        answer = form if isinstance(form, Reply) else self._granting(form)
        if self.lose_next:
            self.lose_next -= 1
            return msgspec.structs.replace(answer, lost=True)
        return answer

    def _granting(self, form: Mapping[str, str]) -> Reply:
        kind = form.get("grant_type", "")
        if not kind:
            return missing("grant_type")
        if kind not in _GRANTS:
            return refused("unsupported_grant_type", "The grant type is not supported")
        member, grant = _GRANTS[kind]
        return grant(self, form[member]) if member in form else missing(member)

    def _polled(self, device_code: str) -> Reply:
        device, now = self._devices.get(device_code), time.time()
        if device is None:
            return INVALID_GRANT
        if device.expires_at <= now:
            return refused("expired_token", "The device code has expired")
        if device.verdict == "denied":
            return refused("access_denied", "The authorization request was denied")
        too_fast, device.polled_at = now - device.polled_at < self.interval * 0.9, now
        device.polls += 1
        confirmed = self.auto_approve_after is not None and device.polls > self.auto_approve_after
        if device.verdict == "approved" or confirmed:
            del self._devices[device_code]
            return granted(*self._issue(f"login-{self._next()}", None))
        if too_fast:
            return refused("slow_down", "Polled too often", self.pending_status)
        return refused("authorization_pending", "The authorization request is still pending", self.pending_status)

    def _refreshed(self, refresh: str) -> Reply:
        login = self._refresh.pop(refresh, None)
        if login is None:
            if self.reuse_kills and (family := self._spent.get(refresh)):
                self._refresh = {token: owner for token, owner in self._refresh.items() if owner != family}
            return INVALID_GRANT
        _keep(self._spent, refresh, login)
        self.refreshes += 1
        return granted(*self._issue(login, None))

    def _issue(self, login: str, lifetime: float | None) -> tuple[str, str, float]:
        number, seconds = self._next(), self.lifetime if lifetime is None else lifetime
        access, refresh = f"at-example-{login}-{number}", f"rt-example-{login}-{number}"
        _keep(self._access, access, Access(login, time.time() + seconds))
        _keep(self._refresh, refresh, login)
        return access, refresh, seconds

    def _decide(self, user_code: str, verdict: str) -> bool:
        found = [device for device in self._devices.values() if device.user_code == user_code]
        for device in found:
            device.verdict = verdict
        return bool(found)

    def _next(self) -> int:
        self._count += 1
        return self._count


_GRANTS: Final = {
    DEVICE_GRANT: ("device_code", OAuth._polled),
    "refresh_token": ("refresh_token", OAuth._refreshed),
}
"""What is asked for, by which member of the form, and who grants it."""


def _keep(table: dict[str, T], key: str, value: T) -> None:
    table[key] = value
    if len(table) > MOST:
        del table[next(iter(table))]
