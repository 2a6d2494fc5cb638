"""The chats of the web site: trees of messages, of which each branch is what one answer was told in context."""

from typing import Final, Literal

import msgspec

from moongate.simulator.values import JsonObject
from moongate.simulator.web.script import SearchResult

Generation = Literal["connect", "rest"]
Role = Literal["system", "user", "assistant"]
State = Literal["GENERATING", "COMPLETED", "CANCELLED", "FAILED"]

MOST: Final = 2000


class Ids:
    """Ids that are never given twice and rise with time."""

    def __init__(self) -> None:
        self._count = 0

    def long(self) -> str:
        """In the shape of a UUID, version 8."""
        number = self._next()
        return f"{0x19EF0000 + number:08x}-0000-8{number % 0x1000:03x}-8000-{number:012x}"

    def short(self) -> str:
        """20 characters, as the older generation has them."""
        return f"cabc{self._next():016d}"

    def _next(self) -> int:
        self._count += 1
        return self._count


class Message(msgspec.Struct, kw_only=True, eq=False):
    """`parent` is the id of the message before it, that of the chat for the first; `at` orders by time.

    `exception` is what was told instead of a text, in the words of the newer generation.
    """

    id: str
    parent: str
    role: Role
    text: str
    at: int
    state: State = "COMPLETED"
    thinking: str = ""
    scenario: str = ""
    files: tuple[str, ...] = ()
    results: tuple[SearchResult, ...] = ()
    exception: JsonObject | None = None


class Chat(msgspec.Struct, kw_only=True, eq=False):
    """`cancelled` are the ids of the messages that somebody asked to stop, in that order, whether or not they were
    still being written."""

    id: str
    owner: str
    generation: Generation
    name: str
    at: int
    messages: dict[str, Message] = msgspec.field(default_factory=dict)
    cancelled: list[str] = msgspec.field(default_factory=list)
    is_deleted: bool = False
    last_request: JsonObject = msgspec.field(default_factory=dict)

    @property
    def tip(self) -> str:
        """The id of the newest message; that of the chat while there is none."""
        return next(reversed(self.messages), self.id)

    def knows(self, message: str) -> bool:
        return message == self.id or message in self.messages

    def chain(self, tip: str) -> list[Message]:
        """The messages from the root to this one."""
        found: list[Message] = []
        while tip in self.messages:
            found.append(self.messages[tip])
            tip = found[-1].parent
        return found[::-1]

    def context(self, tip: str) -> list[tuple[str, str]]:
        return [(message.role, message.text) for message in self.chain(tip)]

    def as_json(self) -> JsonObject:
        messages = [msgspec.to_builtins(message) for message in self.messages.values()]
        fields = ("id", "owner", "generation", "name", "is_deleted")
        return {name: getattr(self, name) for name in fields} | {"cancelled": self.cancelled, "messages": messages}


class Chats:
    """By id, deleted ones too; those that came first are forgotten beyond 2000."""

    def __init__(self) -> None:
        self.ids = Ids()
        self.all: dict[str, Chat] = {}
        self._clock = 0

    def begin(self, owner: str, generation: Generation, name: str) -> Chat:
        key = self._id(generation)
        chat = self.all[key] = Chat(id=key, owner=owner, generation=generation, name=name, at=self._tick())
        if len(self.all) > MOST:
            del self.all[next(iter(self.all))]
        return chat

    def of(self, owner: str, id: str, generation: Generation) -> Chat | None:
        """None for what is unknown, deleted or somebody else's."""
        chat = self.all.get(id)
        if chat is None or chat.is_deleted or (chat.owner, chat.generation) != (owner, generation):
            return None
        return chat

    def owned(self, owner: str, generation: Generation) -> list[Chat]:
        """Newest first."""
        kept = (chat for chat in reversed(self.all.values()) if not chat.is_deleted)
        return [chat for chat in kept if (chat.owner, chat.generation) == (owner, generation)]

    def add(self, chat: Chat, parent: str, role: Role, text: str, state: State = "COMPLETED") -> Message:
        key = self._id(chat.generation)
        message = Message(id=key, parent=parent, role=role, text=text, at=self._tick(), state=state)
        chat.messages[key] = message
        return message

    def clear(self) -> None:
        self.all.clear()

    def _id(self, generation: Generation) -> str:
        return self.ids.long() if generation == "connect" else self.ids.short()

    def _tick(self) -> int:
        self._clock += 1
        return self._clock
