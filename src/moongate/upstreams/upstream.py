"""An upstream says how one kind of account is spoken to. It describes I/O and never performs it."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from msgspec import Struct

from moongate.core.abilities import Abilities
from moongate.core.events import Anchored
from moongate.core.route import ListedModel, Route
from moongate.core.sealed import Sealed
from moongate.core.standing import Standing
from moongate.core.turn import Turn
from moongate.dialects.dialect import Decoder, Explain
from moongate.wire.http import Flow, HttpCall, HttpHead, HttpReply


class Opening(Struct, frozen=True):
    """The call whose body is the reply, who will read it, and the dialect it comes in.

    `explain` reads a refusal and leaves nothing secret in it. `notes` say what was changed to make the request fit.
    `answered`: the reply, where it was already had; then `call` is what was asked, and is not made again. `pace`:
    seconds between two pieces of a reply that comes in one, where it is told as a stream. `anchored`: where
    the upstream remembers it, whatever becomes of the reply, where that is known before.
    """

    call: HttpCall
    decoder: Callable[[HttpHead], Decoder]
    dialect: str
    explain: Explain
    notes: tuple[str, ...] = ()
    answered: HttpReply | None = None
    pace: float = 0.0
    anchored: Anchored | None = None


class Upstream(Protocol):
    @property
    def name(self) -> str: ...

    def abilities(self, model: str, dialect: str) -> Abilities | None:
        """What it can take of a request in `dialect` that has to be told anew for it; None where it takes the request
        as it came."""

    def open(self, turn: Turn, route: Route, credential: Sealed) -> Flow[Opening]:
        """Do what must precede the reply; return how to get it. Raises GatewayError for what cannot be asked.

        Where `abilities` said so, the turn's prompt has been made to fit them: one message of the user's, with what
        the upstream does not know yet.
        """

    def models(self, credential: Sealed) -> Flow[tuple[ListedModel, ...]]:
        """What this account may use, as the vendor lists it. Raises GatewayError."""

    def standing(self, credential: Sealed) -> Flow[Standing | None]:
        """How the account stands with its vendor; None where the vendor has no way to tell. Raises GatewayError."""

    def group(self, model: str) -> str:
        """The name of the quota that a model shares with others."""


@runtime_checkable
class Remembers(Protocol):
    """An upstream that keeps what was said to it in chats of its own. Both raise GatewayError."""

    def stop(self, chat: str, message: str, credential: Sealed) -> Flow[None]:
        """End a reply nobody listens to any more: closing the connection does not."""

    def forget(self, chat: str, credential: Sealed) -> Flow[None]:
        """Delete a chat."""
