"""What the web site answered, turn by turn, and with what context."""

from typing import Literal

import msgspec

from moongate.simulator.values import JsonObject
from moongate.simulator.web.chats import Generation

TurnState = Literal["generating", "completed", "cancelled", "failed", "refused"]


class FileSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a prompt brought, `digest` the SHA-256 of its bytes in hex."""

    id: str
    name: str
    size: int
    digest: str


class TurnSeen(msgspec.Struct, kw_only=True, eq=False):
    """One turn. `context` are role and text of the messages from the root of the chat to the prompt, which is last;
    `said` is what the chat holds of the answer by now, `search` whether a search was offered. `hung_up`: the client
    went before the answer was out. A `refused` turn left nothing in the chat."""

    generation: Generation
    user: str
    chat: str
    message: str
    context: tuple[tuple[str, str], ...]
    files: tuple[FileSeen, ...] = ()
    model: str = ""
    scenario: str = ""
    kimiplus: str = ""
    agent_mode: str = ""
    system_prompt: str = ""
    effort: str = ""
    thinking: bool = False
    search: bool = False
    action: str = ""
    is_new: bool = False
    state: TurnState = "generating"
    said: str = ""
    hung_up: bool = False

    @property
    def prompt(self) -> str:
        return self.context[-1][1]

    def as_json(self) -> JsonObject:
        return {name: msgspec.to_builtins(getattr(self, name)) for name in self.__struct_fields__}
