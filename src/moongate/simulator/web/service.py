"""The web site as a state: its settings, its users, and what it remembers. Nothing here knows HTTP."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

from moongate.simulator.settable import change, restore, shown
from moongate.simulator.values import JsonObject
from moongate.simulator.web.chats import Chat, Chats
from moongate.simulator.web.files import Files
from moongate.simulator.web.knobs import WebKnobs
from moongate.simulator.web.log import TurnSeen
from moongate.simulator.web.refusals import ROWS, WebRefusal
from moongate.simulator.web.script import WebQueue, WebScript
from moongate.simulator.web.users import User, Users

_KEPT: Final = 1000


class WebSite:
    """`knobs` may be changed at will. `log` has one record a turn, oldest first, the last 1000 of them; `running` are
    the answers being written, by their message, whether or not somebody still listens."""

    def __init__(self) -> None:
        self.knobs = WebKnobs()
        self.users = Users(self.knobs)
        self.chats = Chats()
        self.files = Files(self.chats.ids, self.knobs)
        self.queue = WebQueue()
        self.log: list[TurnSeen] = []
        self.running: dict[str, asyncio.Task[None]] = {}

    def user(self, name: str = "ada") -> User:
        """The user of this name, who is made if there is none."""
        return self.users.of(name)

    def chat(self, id: str) -> Chat:
        """Also one that was deleted. Raises KeyError where there never was one."""
        return self.chats.all[id]

    def enqueue(self, script: WebScript, user: str | None = None) -> None:
        """Answer the next turn of this user, or of any, by this script."""
        self.queue.put(script, user)

    def always(self, script: WebScript, user: str | None = None) -> Callable[[], None]:
        """Answer every turn of this user, or of any, by this script, until the returned function is called."""
        rule = self.queue.stand(script, user)
        return lambda: self.queue.end(rule)

    def record(self, turn: TurnSeen) -> None:
        self.log.append(turn)
        del self.log[:-_KEPT]

    def delete(self, chat: Chat) -> WebRefusal | None:
        """Why it is still there, if it is."""
        if self.knobs.fail_deletes:
            self.knobs.fail_deletes -= 1
            return ROWS["internal"]
        chat.is_deleted = True
        return None

    def change_knobs(self, given: object) -> JsonObject:
        """Set what is given as JSON. Raises ValueError."""
        change(self.knobs, WebKnobs, given)
        return self.shown_knobs()

    def shown_knobs(self) -> JsonObject:
        return shown(self.knobs, WebKnobs)

    async def settled(self) -> None:
        """Wait until no answer is being written any more."""
        while self.running:
            await asyncio.wait(list(self.running.values()))

    def clear(self) -> None:
        """Be as in the beginning. Answers in progress go on."""
        for memory in (self.users, self.chats, self.files, self.queue, self.log):
            memory.clear()
        restore(self.knobs)

    def abandon(self) -> list[asyncio.Task[None]]:
        """Break off the answers in progress, which are returned to be waited for."""
        tasks = list(self.running.values())
        for task in tasks:
            task.cancel()
        return tasks


Call: TypeAlias = Callable[[WebSite, User, JsonObject], JsonObject | WebRefusal]
"""A plain call of either generation: whoever asks, and the JSON of the body."""
