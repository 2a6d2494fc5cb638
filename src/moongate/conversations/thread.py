"""One conversation, as it stands: what was said, and where an upstream remembers the beginning of it."""

import asyncio
from collections.abc import Callable, Iterable

from moongate.conversations.normal import Line
from moongate.conversations.record import Key, Said, Stored
from moongate.core.turn import Anchor

Read = Callable[[Said], Line]


class Thread:
    """`created_at` and `used_at` are in seconds since 1970; `size` in bytes. `turn` is held by the one request that may
    change it; `waiting` counts those who hold it or want to. `spent`: an anchor that was good for one turn, which is
    under way."""

    def __init__(self, key: Key, now: float) -> None:
        self.key = key
        self.created_at = self.used_at = now
        self.said: list[Said] = []
        self.anchor: Anchor | None = None
        self.spent: Anchor | None = None
        self.size = 0
        self.turn = asyncio.Lock()
        self.waiting = 0
        self.has_ended = False
        self._lines: list[Line] = []

    @classmethod
    def of(cls, stored: Stored) -> "Thread":
        thread = cls(stored.key, stored.created_at)
        thread.used_at, thread.anchor = stored.used_at, stored.anchor
        thread.become(0, stored.said)
        return thread

    def become(self, kept: int, said: Iterable[Said]) -> None:
        """The first `kept` messages, and then these."""
        del self.said[kept:], self._lines[kept:]
        self.said += said
        self.size = sum(len(one.body) for one in self.said)

    def lines(self, read: Read) -> list[Line]:
        """By what its messages are known again; read when it is first asked for, which most threads never are."""
        self._lines += [read(said) for said in self.said[len(self._lines) :]]
        return self._lines
