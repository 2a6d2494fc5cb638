"""What of a request belongs to a conversation already. Pure: lines known, lines asked.

A caller may send only what is new, or the whole history, or the end of it; or a history that was edited. Who sends an
assistant's message sends history. What the caller says of the past counts, so a history that differs from ours replaces
ours from there on, and nothing is ever said twice.
"""

from collections.abc import Sequence
from itertools import zip_longest

from msgspec import Struct

from moongate.conversations.normal import Line


class Placed(Struct, frozen=True):
    """The conversation as it goes on: the first `lead` messages asked, then ours from `skip` up to `kept`, then those
    asked from `fresh` on."""

    lead: int
    skip: int
    kept: int
    fresh: int

    @property
    def keeps_beginning(self) -> bool:
        """Whether what an upstream remembers of the first `kept` messages still holds."""
        return not self.lead and not self.skip


def place(known: Sequence[Line], asked: Sequence[Line]) -> Placed:
    ours, theirs = _preface(known), _preface(asked)
    kept, fresh = _meet(known[ours:], asked[theirs:])
    has_new_preface = theirs > 0 and known[:ours] != asked[:theirs]
    return Placed(
        lead=theirs if has_new_preface else 0,
        skip=ours if has_new_preface else 0,
        kept=ours + kept,
        fresh=theirs + fresh,
    )


def _preface(lines: Sequence[Line]) -> int:
    """How many system messages it begins with. They are looked at apart: many clients send them every time."""
    return next((place for place, line in enumerate(lines) if line.role != "system"), len(lines))


def _meet(known: Sequence[Line], asked: Sequence[Line]) -> tuple[int, int]:
    """(how many of the known stay, from where the asked are new)."""
    if not _is_history(asked):
        return len(known), 0
    common = next((place for place, (a, b) in enumerate(zip_longest(known, asked)) if a != b), len(known))
    if _is_history(asked[:common]):
        return common, common
    length = _overlap(known, asked)
    return (len(known), length) if _is_history(asked[:length]) else (0, 0)


def _overlap(known: Sequence[Line], asked: Sequence[Line]) -> int:
    """The length of the longest end of `known` with which `asked` begins, found in one go over both (Knuth, Morris and
    Pratt): histories may be long and all alike. A shorter one holds no assistant's message that this one does not."""
    if not asked:
        return 0
    borders = [0] * len(asked)
    length = 0
    for place in range(1, len(asked)):
        while length and asked[place] != asked[length]:
            length = borders[length - 1]
        length += asked[place] == asked[length]
        borders[place] = length
    length = 0
    for one in known:
        while length and (length == len(asked) or one != asked[length]):
            length = borders[length - 1]
        length += one == asked[length]
    return length


def _is_history(lines: Sequence[Line]) -> bool:
    return any(line.role == "assistant" for line in lines)
