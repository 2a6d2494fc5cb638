"""Kimi Code's login server: a device code that somebody confirms, short tokens, and refresh tokens good for one use.

Shapes and error words as measured in 2026-08. Names of the members are settings that a test may change at any time.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from moongate.simulator.values import JsonObject, dumps

T = TypeVar("T")

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
MOST: Final = 5000


class Reply(msgspec.Struct, frozen=True):
    status: int
    body: bytes


class Device(msgspec.Struct):
    user_code: str
    expires_at: float
    polls: int = 0
    polled_at: float = 0.0
    verdict: str = ""  # approved, denied, or nothing yet


class Access(msgspec.Struct):
    login: str
    expires_at: float


class OAuth:
    """`lifetime` of an access token, `interval` between polls and `expires_in` of a device code are in seconds, `delay`
    is slept before each answer of the token endpoint. `fail_next`: statuses of its next answers. `auto_approve_after`:
    polls after which a code counts as confirmed. `early_rejection`: seconds before its end at which a token already
    fails. `strict`: tokens that were not issued here are refused. `refreshes` counts those that succeeded."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.lifetime = 900.0
        self.interval = 5.0
        self.expires_in = 1800.0
        self.delay = 0.0
        self.pending_status = 400
        self.auto_approve_after: int | None = None
        self.early_rejection = 0.0
        self.reuse_kills = True
        self.strict = False
        self.refreshes = 0
        self.fail_next: list[int] = []
        self._count = 0
        self._devices: dict[str, Device] = {}
        self._access: dict[str, Access] = {}
        self._refresh: dict[str, str] = {}
        self._spent: dict[str, str] = {}

    def grant(self, lifetime: float | None = None) -> tuple[str, str, float]:
        """A login without the ceremony: access token, refresh token, and the seconds the former lives."""
        self._count += 1
        return self._issue(f"login-{self._count}", lifetime)

    def approve(self, user_code: str) -> bool:
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

    def begin(self) -> Reply:
        self._count += 1
        device_code, user_code = f"device-example-{self._count}", f"ABCD-{1000 + self._count}"
        _keep(self._devices, device_code, Device(user_code, time.time() + self.expires_in))
        url = "https://www.kimi.example/code/authorize_device"
        return _reply(
            200,
            {
                "device_code": device_code,
                "user_code": user_code,
                "verification_uri": url,
                "verification_uri_complete": f"{url}?user_code={user_code}",
                "expires_in": self.expires_in,
                "interval": self.interval,
            },
        )

    async def token(self, form: Mapping[str, str]) -> Reply:
        await asyncio.sleep(self.delay)
        if self.fail_next:
            return _reply(self.fail_next.pop(0), {"error": "temporarily_unavailable"})
        if form.get("grant_type") == DEVICE_GRANT:
            return self._polled(form.get("device_code", ""))
        if form.get("grant_type") == "refresh_token":
            return self._refreshed(form.get("refresh_token", ""))
        return _refused("unsupported_grant_type", "The grant type is not supported")

    def _polled(self, device_code: str) -> Reply:
        device, now = self._devices.get(device_code), time.time()
        if device is None:
            return _refused("invalid_grant", "The provided authorization grant is invalid")
        if device.expires_at <= now:
            return _refused("expired_token", "The device code has expired")
        if device.verdict == "denied":
            return _refused("access_denied", "The authorization request was denied")
        too_fast, device.polled_at = now - device.polled_at < self.interval * 0.9, now
        device.polls += 1
        confirmed = self.auto_approve_after is not None and device.polls > self.auto_approve_after
        if device.verdict == "approved" or confirmed:
            del self._devices[device_code]
            self._count += 1
            return _granted(*self._issue(f"login-{self._count}", None))
        if too_fast and device.polls > 1:
            return _refused("slow_down", "Polled too often", self.pending_status)
        return _refused("authorization_pending", "The authorization request is still pending", self.pending_status)

    def _refreshed(self, refresh: str) -> Reply:
        login = self._refresh.pop(refresh, None)
        if login is None:
            if self.reuse_kills and (family := self._spent.get(refresh)):
                self._refresh = {token: owner for token, owner in self._refresh.items() if owner != family}
            return _refused("invalid_grant", "The provided authorization grant is invalid")
        _keep(self._spent, refresh, login)
        self.refreshes += 1
        return _granted(*self._issue(login, None))

    def _issue(self, login: str, lifetime: float | None) -> tuple[str, str, float]:
        self._count += 1
        seconds = self.lifetime if lifetime is None else lifetime
        access, refresh = f"at-example-{login}-{self._count}", f"rt-example-{login}-{self._count}"
        _keep(self._access, access, Access(login, time.time() + seconds))
        _keep(self._refresh, refresh, login)
        return access, refresh, seconds

    def _decide(self, user_code: str, verdict: str) -> bool:
        for device in self._devices.values():
            if device.user_code == user_code:
                device.verdict = verdict
                return True
        return False


def _keep(table: dict[str, T], key: str, value: T) -> None:
    table[key] = value
    if len(table) > MOST:
        del table[next(iter(table))]


def _granted(access: str, refresh: str, seconds: float) -> Reply:
    return _reply(
        200,
        {
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": seconds,
            "scope": "kimi-code",
            "token_type": "Bearer",
        },
    )


def _refused(word: str, description: str, status: int = 400) -> Reply:
    return _reply(status, {"error": word, "error_description": description})


def _reply(status: int, body: JsonObject) -> Reply:
    return Reply(status, dumps(body))
