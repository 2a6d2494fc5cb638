"""How important a message of the log is."""

from typing import Final, Literal, TypeAlias, get_args

Level: TypeAlias = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

LEVELS: Final[tuple[Level, ...]] = get_args(Level)
