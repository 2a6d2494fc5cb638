"""A request placed in its conversation."""

from collections.abc import Callable

from msgspec import Struct, structs

from moongate.core.prompt import Prompt
from moongate.core.request import ChatRequest


class Anchor(Struct, frozen=True):
    """Where an upstream remembers the beginning of a conversation: which `account` at which `upstream`, in which of its
    chats, up to which of its messages (empty where it names none, and so can only go on from its last). `covers`: how
    many of our messages that is."""

    upstream: str
    account: str
    chat: str
    message: str
    covers: int


class Turn(Struct, frozen=True):
    """`ask` holds the whole conversation, and `prompt` reads it; raises GatewayError for what cannot be read. `anchor`
    says what of it the upstream knows already, None for nothing. `is_kept`: it is to be remembered there for a next
    turn; else whatever is left behind may be deleted."""

    ask: ChatRequest
    prompt: Callable[[], Prompt]
    anchor: Anchor | None = None
    is_kept: bool = False

    def anew(self) -> "Turn":
        """The same where nothing of it is known."""
        return structs.replace(self, anchor=None)
