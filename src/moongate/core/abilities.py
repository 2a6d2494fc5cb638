"""What an upstream can take of a request that is not in its own dialect. What it lacks is made up for, or refused."""

from msgspec import Struct

from moongate.core.prompt import MediaKind


class Abilities(Struct, frozen=True):
    """`media`: what may be sent beside the text, by its bytes. `length`: the most characters of one text it takes, None
    for no limit known; `shortens`: whether what goes beyond it may be left out, the oldest first. `can_think`: whether
    thinking can be switched. `answers_whole`: nothing of a reply comes before all of it."""

    media: frozenset[MediaKind] = frozenset()
    length: int | None = None
    shortens: bool = False
    can_think: bool = False
    answers_whole: bool = False
