"""One request, front to back: who asks, what for, which way, and the reply as it comes."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from moongate.conversations.conversations import Conversations, Placement
from moongate.conversations.naming import named, of_user
from moongate.conversations.record import Key
from moongate.core.errors import GatewayError
from moongate.core.events import Ended, Packet
from moongate.core.exchange import Exchange
from moongate.core.identity import Caller
from moongate.core.reply import Fold
from moongate.core.request import ChatRequest, RequestHead
from moongate.core.turn import Turn
from moongate.dialects.dialect import Echo, Server, choose
from moongate.discovery import Discovery
from moongate.dispatch import Dispatch, Speaking
from moongate.dispatch.speaking import HELD_LIMIT
from moongate.policy.keys import Keyring
from moongate.pool.affinity import STRANGER, Session, session
from moongate.pool.own import OwnAccounts


class Answer:
    """A reply on its way to the caller, as a stream or whole. Where it belongs to a conversation, that goes on before
    the caller has heard the last of it: what they saw finish is not lost, whatever happens then."""

    def __init__(
        self, server: Server, ask: ChatRequest, speaking: Speaking, exchange: Exchange, placement: Placement | None
    ) -> None:
        self.is_stream = ask.stream
        self._encoder = choose(server, ask, speaking.dialect, streamed=speaking.streamed)
        self.is_echo = isinstance(self._encoder, Echo)
        self._speaking = speaking
        self._exchange = exchange
        self._placement = placement
        self._fold = Fold()
        self._size = 0

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The reply's bytes, an error event last if it breaks; never a clean end to a broken reply."""
        last = b""
        try:
            async for packet in self._speaking:
                data = self._encoder.encode(packet)
                if self._placement is not None and not self._follow(packet, self._placement):
                    last += data  # it tells that this was all, and has to wait until it is kept
                elif data := last + data:
                    last = b""
                    yield data
        except GatewayError as error:
            self._exchange.failure = error
            yield self._encoder.fail(error)

    async def whole(self) -> bytes:
        """The reply's body. Raises GatewayError; nothing has been sent then."""
        async for packet in self._speaking:
            self._fold.add(packet)
        if self._placement is not None:
            self._go_on(self._placement)
        return self._encoder.whole(self._fold.whole())

    def _follow(self, packet: Packet, placement: Placement) -> bool:
        """Whether the caller may be told of it. Raises GatewayError (PROTOCOL) for a reply too large to keep."""
        self._fold.add(packet)
        self._size += len(packet.raw)
        if self._size > HELD_LIMIT:
            raise GatewayError.protocol(f"the reply is larger than {HELD_LIMIT} bytes, and was to be kept")
        has_ended = any(isinstance(event, Ended) for event in packet.events)
        if has_ended:
            self._go_on(placement)
        return has_ended or not packet.is_complete

    def _go_on(self, placement: Placement) -> None:
        route = self._exchange.route
        placement.advance(self._fold.whole(), self._exchange.account, route.upstream if route else "")


class Gateway:
    """`buffered`: hold every answer back until it is complete, not only those of callers who ask for that. `by_user`: a
    request's `user` names a conversation."""

    def __init__(
        self,
        keys: Keyring,
        own: OwnAccounts,
        discovery: Discovery,
        dispatch: Dispatch,
        conversations: Conversations,
        *,
        buffered: bool = False,
        by_user: bool = False,
    ) -> None:
        self._keys = keys
        self._own = own
        self._discovery = discovery
        self._dispatch = dispatch
        self._conversations = conversations
        self._buffered = buffered
        self._by_user = by_user

    def admit(self, headers: Mapping[str, str]) -> Caller:
        """Who asks. Before anything else, so that nobody unknown is listened to. Raises GatewayError."""
        return self._keys.identify(headers)

    @asynccontextmanager
    async def answer(
        self, server: Server, caller: Caller, head: RequestHead, body: bytes, exchange: Exchange
    ) -> AsyncIterator[Answer]:
        """One request, front to back. Leaving the block is the end of the request, however it ends.

        Raises GatewayError on the way in, when nothing was sent yet. Later failures are told by the answer, and raised
        when the block is left, so that every scope still held can judge them.
        """
        ask = server.decode(body, head)
        exchange.model, exchange.stream = ask.model, ask.stream
        key = self._conversation(caller, ask, head)
        own = self._own.accounts(caller)
        routes = await self._discovery.resolve(ask.model, own)
        async with AsyncExitStack() as held:
            placement = None
            if key is not None:
                exchange.conversation = key.id
                placement = await held.enter_async_context(self._conversations.turn(key, server, ask))
            turn = placement.turn if placement else Turn(ask, partial(server.prompt, ask))
            kin = self._session(server, caller, turn.ask, head, key)
            whole = self._is_heard_whole(ask, head)
            speaking = await held.enter_async_context(
                self._dispatch(turn, routes, own, exchange, session=kin, whole=whole)
            )
            answer = Answer(server, ask, speaking, exchange, placement)
            if not answer.is_echo and speaking.dialect == server.dialect:
                exchange.notes.append("the reply came in another form than was asked for, and is told anew")
            yield answer
            if exchange.failure:
                raise exchange.failure

    def _conversation(self, caller: Caller, ask: ChatRequest, head: RequestHead) -> Key | None:
        if head.conversation:
            return named(caller, head.conversation)
        return of_user(caller, ask.user) if self._by_user and ask.user else None

    def _session(self, server: Server, caller: Caller, ask: ChatRequest, head: RequestHead, key: Key | None) -> Session:
        """What it belongs to, where there is a choice of accounts to keep it on."""
        if not self._dispatch.has_choice:
            return STRANGER
        name = f"conversation {key.id}" if key else ask.session
        return session(caller.name, name, head.headers, lambda: server.turns(ask))

    def _is_heard_whole(self, ask: ChatRequest, head: RequestHead) -> bool:
        """Whether the caller hears nothing before the end. Who does not stream never does."""
        return not ask.stream or self._buffered or head.headers.get("x-moongate-buffered", "").lower() == "true"
