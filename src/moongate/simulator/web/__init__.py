"""The web chat of Kimi, simulated: logins, chats and files in both its generations, REST with events and Connect."""

from moongate.simulator.web.chats import Chat, Message
from moongate.simulator.web.knobs import WebKnobs
from moongate.simulator.web.log import FileSeen, TurnSeen
from moongate.simulator.web.refusals import ROWS, WebRefusal
from moongate.simulator.web.script import SearchResult, WebScript
from moongate.simulator.web.service import WebSite
from moongate.simulator.web.users import User

__all__ = [
    "ROWS",
    "Chat",
    "FileSeen",
    "Message",
    "SearchResult",
    "TurnSeen",
    "User",
    "WebKnobs",
    "WebRefusal",
    "WebScript",
    "WebSite",
]
