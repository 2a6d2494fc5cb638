"""Accounts that callers bring along: their own upstream credentials, told apart by their shape."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

from moongate.core.identity import Caller
from moongate.core.sealed import Sealed
from moongate.pool.account import Account
from moongate.pool.credentials import Credential, FixedKey
from moongate.upstreams.kimi_web.claims import is_web_token
from moongate.upstreams.upstream import Upstream

SHAPES = (
    ("sk-kimi-", "kimi-code"),
    # Other vendors', which must not be sent to Moonshot because somebody forgot them in an environment.
    ("sk-proj-", ""),
    ("sk-svcacct-", ""),
    ("sk-admin-", ""),
    ("sk-ant-", ""),
    ("sk-or-", ""),
    ("sk-", "moonshot"),
)
"""What a credential begins with, and whose it is, empty for nobody's here; the first that fits wins."""

WEB = "kimi-web"
"""Whose tokens are no keys, and are told by what they say of themselves."""


class Use(Struct, frozen=True):
    """Where a caller's credential is used, and how."""

    upstream: Upstream
    credential: Credential
    max_concurrency: int | None = None


Place: TypeAlias = Callable[[Sealed], Use]
"""What is made of a credential of one kind."""


def by_key(upstream: Upstream) -> Place:
    """Shown as it came."""
    return lambda token: Use(upstream, FixedKey(token))


class OwnAccounts:
    def __init__(self, places: Mapping[str, Place]) -> None:
        """`places` by the name of the upstream, where callers' credentials are to be used."""
        self._places = places

    def is_credential(self, text: str) -> bool:
        return self._place(text) is not None

    def accounts(self, caller: Caller) -> tuple[Account, ...]:
        found = ((token, self._place(token.reveal())) for token in caller.tokens)
        uses = ((number, place(token)) for number, (token, place) in enumerate(found, 1) if place is not None)
        return tuple(
            Account(
                _name(number, caller),
                use.upstream,
                use.credential,
                max_concurrency=use.max_concurrency,
                is_callers=True,
            )
            for number, use in uses
        )

    def _place(self, text: str) -> Place | None:
        shape, name = next(((shape, name) for shape, name in SHAPES if text.startswith(shape)), ("", ""))
        if not shape and is_web_token(text):
            name = WEB
        return self._places.get(name) if len(text) > len(shape) else None


def _name(number: int, caller: Caller) -> str:
    """Stable for one caller, so that their accounts take turns among themselves."""
    return f"{caller.name}#{number}"
