"""An upstream says how one kind of account is spoken to. It describes I/O and never performs it."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from moongate.core.request import ChatRequest
from moongate.core.route import ListedModel, Route
from moongate.core.sealed import Sealed
from moongate.core.standing import Standing
from moongate.dialects.dialect import Decoder, Explain
from moongate.wire.http import Flow, HttpCall, HttpHead


class Opening(Struct, frozen=True):
    """The call whose body is the reply, who will read it, and the dialect it comes in.

    `explain` reads a refusal and leaves nothing secret in it. `notes` say what was changed to make the request fit.
    """

    call: HttpCall
    decoder: Callable[[HttpHead], Decoder]
    dialect: str
    explain: Explain
    notes: tuple[str, ...] = ()


class Upstream(Protocol):
    @property
    def name(self) -> str: ...

    def open(self, ask: ChatRequest, route: Route, credential: Sealed) -> Flow[Opening]:
        """Do what must precede the reply; return how to get it. Raises GatewayError for what cannot be asked."""

    def models(self, credential: Sealed) -> Flow[tuple[ListedModel, ...]]:
        """What this account may use, as the vendor lists it. Raises GatewayError."""

    def standing(self, credential: Sealed) -> Flow[Standing | None]:
        """How the account stands with its vendor; None where the vendor has no way to tell. Raises GatewayError."""

    def group(self, model: str) -> str:
        """The name of the quota that a model shares with others."""
