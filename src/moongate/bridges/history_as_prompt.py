"""A conversation told as one text, for an upstream that takes one message of one speaker.

Every message stands between two marks that name its speaker and contain a word that occurs nowhere in the conversation,
so that nothing anybody said can end its own message or begin another's.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from moongate.bridges.phrases import Phrases
from moongate.bridges.tools_as_text import quoted, spelled
from moongate.core.prompt import Media, Message, Words


class Answered(Struct, frozen=True):
    """The call that a tool's message answers; `number`: which of several that were made at once, from 1."""

    tool: str
    number: int = 0


class Place(Struct, frozen=True):
    """A message, and where it stands in the request."""

    at: int
    message: Message
    answered: Answered | None = None


class Fold(Struct, frozen=True):
    """How a conversation is told. `asks`: what else the model is told, such as its tools."""

    mark: str
    words: Phrases
    asks: tuple[str, ...] = ()

    def text(self, places: Sequence[Place]) -> str:
        if not self.asks and is_plain(places):
            return places[0].message.text
        attached = Attached(self.mark)
        turns = [self.turn(place, attached) for place in places]
        return "\n\n".join([self._preface(places, has_media=attached.count > 0), *self.asks, *turns])

    def _preface(self, places: Sequence[Place], *, has_media: bool) -> str:
        words = self.words
        last = {"tool": words.go_on, "assistant": words.continue_}.get(places[-1].message.role, words.answer)
        told = [words.history, *([words.media] if has_media else ()), last]
        return "\n".join(told).format(mark=self.mark)

    def turn(self, place: Place, attached: "Attached") -> str:
        """One message. What the model thought is left out: it was not said."""
        message = place.message
        spoken = "".join(part.text if isinstance(part, Words) else attached.mark_of(part) for part in message.parts)
        calls = (spelled(call, self.mark) for call in message.calls)
        said = "\n".join([*([spoken] if spoken or not message.calls else ()), *calls])
        return f"<{message.role}-{self.mark}{_attributes(place)}>\n{said}\n</{message.role}-{self.mark}>"


class Attached:
    """Numbers what is attached, over all messages that are told."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self.count = 0

    def mark_of(self, media: Media) -> str:
        self.count += 1
        return f"<{media.kind}-{self._mark} {self.count}{_attribute('name', media.name)}>"


def _attributes(place: Place) -> str:
    answered = place.answered
    if answered is None:
        return _attribute("name", place.message.name)
    number = f" call={answered.number}" if answered.number else ""
    return _attribute("name", answered.tool) + number


def _attribute(name: str, value: str) -> str:
    return f" {name}={quoted(value)}" if value else ""


def is_plain(places: Sequence[Place]) -> bool:
    """One message of the user's, as most requests are: it needs no marks."""
    return len(places) == 1 and places[0].message.role == "user"


def uncovered(messages: Sequence[Message], covered: int) -> tuple[Place, ...]:
    """What the upstream does not know yet, and at least the last message."""
    called = {
        call.id: Answered(call.name, number if len(message.calls) > 1 else 0)
        for message in messages
        for number, call in enumerate(message.calls, 1)
    }
    first = min(covered, len(messages) - 1)
    return tuple(Place(at, messages[at], _answered(messages[at], called)) for at in range(first, len(messages)))


def _answered(message: Message, called: Mapping[str, Answered]) -> Answered | None:
    return called.get(message.answers) if message.role == "tool" else None


def media(places: Sequence[Place]) -> tuple[Media, ...]:
    return tuple(part for place in places for part in place.message.parts if isinstance(part, Media))


def spoken(messages: Sequence[Message]) -> list[str]:
    """All that was said in a conversation, by whomever: what our marks must not occur in."""
    texts: list[str] = []
    for message in messages:
        texts += [message.text, message.name]
        texts += [part.name for part in message.parts if isinstance(part, Media)]
        for call in message.calls:
            texts += [call.name, call.arguments]
    return texts
