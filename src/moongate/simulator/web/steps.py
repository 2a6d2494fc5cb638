"""How the answer of a web chat goes out: what is told, and where the script's faults fall between. Pure."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from moongate.simulator.plan import Cut, Stall, Wait
from moongate.simulator.values import JsonObject
from moongate.simulator.web.chats import State
from moongate.simulator.web.script import WebScript


class Tell(msgspec.Struct, frozen=True):
    """One frame or event as bytes; with it so much more has been thought and said."""

    data: bytes
    thinking: str = ""
    text: str = ""


class Land(msgspec.Struct, frozen=True):
    """What the chat holds of the answer from here on. An `exception` stands there instead of a text."""

    state: State
    exception: JsonObject | None = None


class Close(msgspec.Struct, frozen=True):
    """The HTTP body ends as if nothing were missing."""


Step: TypeAlias = Tell | Land | Wait | Stall | Cut | Close


def course(script: WebScript, steps: Iterable[Step]) -> Iterator[Step]:
    """The steps with the faults after as many frames as the script counts, and pauses between frames."""
    told = 0
    for step in steps:
        if isinstance(step, Tell):
            yield from _faults(script, told)
            if told and script.pause:
                yield Wait(script.pause)
            told += 1
        yield step
    yield from _faults(script, told)


def pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def shares(text: str, count: int) -> list[str]:
    """The text in so many parts, of which the last may be shorter; none is empty."""
    return pieces(text, max(1, -(-len(text) // count)))


def _faults(script: WebScript, told: int) -> Iterator[Step]:
    if script.stall_after == told:
        yield Stall()
    if script.cut_after == told:
        yield Cut()
    if script.close_after == told:
        yield Close()
