"""Who asks."""

from typing import Literal, TypeAlias

from msgspec import Struct

from moongate.core.sealed import Sealed

CallerKind: TypeAlias = Literal["anonymous", "master", "key", "own credential"]


class Caller(Struct, frozen=True):
    """`name` is fit for logs. `tokens`: upstream credentials the caller brought, to be used instead of ours. `owner`:
    to whom things belong, here and after a restart; a digest, from which no key can be told."""

    kind: CallerKind
    name: str
    tokens: tuple[Sealed, ...] = ()
    owner: str = ""
