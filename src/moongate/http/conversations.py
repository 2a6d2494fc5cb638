"""What callers may ask of their own conversations: that they are there, what was said, and that they be deleted."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from moongate.conversations.conversations import Conversations
from moongate.conversations.naming import named
from moongate.conversations.record import Key
from moongate.core.errors import GatewayError, Kind
from moongate.dialects import conversations as told
from moongate.policy.keys import Keyring

T = TypeVar("T")

MOST_ITEMS, USUAL_ITEMS = 100, 20


class ConversationPages:
    """To who is not its owner a conversation is not there."""

    def __init__(self, conversations: Conversations, keys: Keyring, twins: Sequence[str]) -> None:
        self._conversations = conversations
        self._keys = keys
        self._twins = twins

    def routes(self) -> list[Route]:
        return [
            route
            for twin in self._twins
            for route in (
                Route(f"{twin}/v1/conversations/{{id:path}}/items", self._items, methods=["GET"]),
                Route(f"{twin}/v1/conversations/{{id:path}}", self._one, methods=["GET", "DELETE"]),
            )
        ]

    async def _one(self, request: Request) -> Response:
        key = self._key(request)
        if request.method == "DELETE":
            await self._conversations.remove(key)
            return JSONResponse(told.deleted(key.id))
        thread = await self._conversations.find(key)
        return JSONResponse(told.conversation(key.id, thread.created_at))

    async def _items(self, request: Request) -> Response:
        asked = request.query_params
        order = _read(asked, "order", "desc", _order)
        limit = _read(asked, "limit", str(USUAL_ITEMS), _limit)
        items = told.items(await self._conversations.messages(self._key(request)))
        if order == "desc":
            items.reverse()
        if after := asked.get("after"):
            place = next((place for place, item in enumerate(items) if item["id"] == after), None)
            if place is None:
                raise GatewayError(Kind.INVALID_REQUEST, "after: there is no such item here", param="after")
            items = items[place + 1 :]
        return JSONResponse(told.page(items[:limit], has_more=len(items) > limit))

    def _key(self, request: Request) -> Key:
        """Raises GatewayError."""
        headers: Mapping[str, str] = request.scope["state"]["headers"]
        return named(self._keys.identify(headers), request.path_params["id"])


def _read(asked: Mapping[str, str], name: str, usual: str, read: Callable[[str], T]) -> T:
    """Raises GatewayError (INVALID_REQUEST) by the name of the parameter."""
    try:
        return read(asked.get(name, usual))
    except ValueError as error:
        raise GatewayError(Kind.INVALID_REQUEST, f"{name}: {error}", param=name) from error


def _order(text: str) -> str:
    if text not in ("asc", "desc"):
        raise ValueError("must be asc or desc")
    return text


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 3 or not 1 <= int(text) <= MOST_ITEMS:
        raise ValueError(f"must be a number from 1 to {MOST_ITEMS}")
    return int(text)
