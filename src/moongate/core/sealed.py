"""A secret that may be passed around and printed without being told: only `reveal()` shows it."""

from hmac import compare_digest
from typing import Final, NoReturn, final

SHOWN: Final = 4
LONG_ENOUGH: Final = 12
"""Up to this length the last four characters would tell too much of the whole."""


@final
class Sealed:
    """Not a dataclass, so that `dataclasses.asdict` and its like cannot open it."""

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        tail = self._value[-SHOWN:]
        return f"…{tail}" if len(self._value) > LONG_ENOUGH and tail.isprintable() else "…"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sealed):
            return NotImplemented
        return compare_digest(self._bytes(), other._bytes())

    def __hash__(self) -> int:
        return hash((Sealed, self._value))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a sealed value does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a sealed value does not change")

    def __reduce__(self) -> tuple[type["Sealed"], tuple[str]]:
        return Sealed, (self._value,)

    def _bytes(self) -> bytes:
        return self._value.encode("utf-8", "surrogatepass")
