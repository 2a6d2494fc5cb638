"""What an account shows its upstream: a key that stays, or a login that renews itself."""

from typing import Protocol

from msgspec import Struct

from moongate.core.sealed import Sealed


class Credential(Protocol):
    @property
    def shown(self) -> str:
        """At most its last four characters."""

    async def token(self) -> Sealed:
        """What to send now, renewed first where it is about to expire. Raises GatewayError."""

    async def renewed(self, refused: Sealed) -> Sealed | None:
        """Another one after `refused` was answered with 401; None where there is no other. Raises GatewayError."""


class FixedKey(Struct, frozen=True):
    key: Sealed

    @property
    def shown(self) -> str:
        return repr(self.key)

    async def token(self) -> Sealed:
        return self.key

    async def renewed(self, refused: Sealed) -> Sealed | None:
        return None
