"""One turn as it will be told: the messages it added to its chat, what was asked, and what is said."""

import msgspec

from moongate.simulator.web.asked import Asked
from moongate.simulator.web.chats import Chat, Message
from moongate.simulator.web.refusals import WebRefusal
from moongate.simulator.web.script import RefuseWhen, WebScript
from moongate.simulator.web.speech import Said


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """`bare_debug` is the form of errors that the service was told to use."""

    chat: Chat
    prompt: Message
    answer: Message
    asked: Asked
    script: WebScript
    said: Said
    is_new: bool
    bare_debug: bool = False

    def refusal(self, *when: RefuseWhen) -> WebRefusal | None:
        """What is refused at one of these places."""
        refusal = self.script.refusal()
        return refusal if refusal is not None and self.script.refused_when() in when else None
