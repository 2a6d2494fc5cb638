"""Accounts that callers bring along: their own upstream credentials, told apart by their shape."""

from collections.abc import Mapping

from moongate.core.identity import Caller
from moongate.pool.account import Account
from moongate.pool.credentials import FixedKey
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


class OwnAccounts:
    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        """`upstreams` by name, where callers' credentials are to be used."""
        self._upstreams = upstreams

    def is_credential(self, text: str) -> bool:
        return self._upstream(text) is not None

    def accounts(self, caller: Caller) -> tuple[Account, ...]:
        found = ((token, self._upstream(token.reveal())) for token in caller.tokens)
        return tuple(
            Account(_name(place, caller), upstream, FixedKey(token), is_callers=True)
            for place, (token, upstream) in enumerate(found, 1)
            if upstream is not None
        )

    def _upstream(self, text: str) -> Upstream | None:
        shape, name = next(((shape, name) for shape, name in SHAPES if text.startswith(shape)), ("", ""))
        return self._upstreams.get(name) if len(text) > len(shape) else None


def _name(place: int, caller: Caller) -> str:
    """Stable for one caller, so that their accounts take turns among themselves."""
    return f"{caller.name}#{place}"
