"""A conversation that is too long for its upstream, told without its beginning."""

from collections.abc import Sequence

from msgspec import Struct

from moongate.bridges.history_as_prompt import Attached, Fold, Place
from moongate.core.abilities import Abilities
from moongate.core.errors import GatewayError, Kind

BETWEEN = 2
"""Characters between two messages."""


class Shortened(Struct, frozen=True):
    """`text` tells `places`; `left_out` of the oldest messages are not among them."""

    text: str
    places: tuple[Place, ...]
    left_out: int = 0


def shortened(fold: Fold, places: tuple[Place, ...], abilities: Abilities) -> Shortened:
    """As much of the conversation as the upstream takes at a time. Where it may be left out, what is left out is the
    oldest: never a rule of the system's, the user's last message or what comes last, and no call without its answers.

    Raises GatewayError (CONTEXT_EXCEEDED) where that is not enough.
    """
    text, kept, length = fold.text(places), places, abilities.length
    if length is None or len(text) <= length:
        return Shortened(text, places)
    groups, gone = _may_go(places) if abilities.shortens else [], set[int]()
    excess = len(text) - length
    for group in groups:
        gone |= {place.at for place in group}
        excess -= sum(len(fold.turn(place, Attached(fold.mark))) + BETWEEN for place in group)
        if excess > 0 and group is not groups[-1]:
            continue
        kept = tuple(place for place in places if place.at not in gone)
        text = fold.text(kept)
        if len(text) <= length:
            return Shortened(text, kept, len(gone))
    what = "the last message alone" if len(kept) == 1 else "what cannot be left out"
    message = f"messages: {what} takes {len(text)} characters, and this upstream takes {length} at a time"
    raise GatewayError(Kind.CONTEXT_EXCEEDED, message, param="messages")


def _may_go(places: Sequence[Place]) -> list[list[Place]]:
    """What may be left out, the oldest first: each message with those that answer the calls in it."""
    groups: list[list[Place]] = []
    for place in places:
        match place.message.role:
            case "system":
                pass
            case "tool" if groups and (groups[-1][-1].message.calls or groups[-1][-1].message.role == "tool"):
                groups[-1].append(place)
            case _:
                groups.append([place])
    last_user = max((place.at for place in places if place.message.role == "user"), default=-1)
    return [group for group in groups[:-1] if all(place.at != last_user for place in group)]
