"""One request, front to back: who asks, what for, which way, and the reply as it comes."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

from moongate.core.errors import GatewayError
from moongate.core.exchange import Exchange
from moongate.core.identity import Caller
from moongate.core.reply import Fold
from moongate.core.request import ChatRequest, RequestHead
from moongate.dialects.dialect import Echo, Server, choose
from moongate.discovery import Discovery
from moongate.dispatch import Dispatch, Speaking
from moongate.policy.keys import Keyring
from moongate.pool.affinity import STRANGER, Session, session
from moongate.pool.own import OwnAccounts


class Answer:
    """A reply on its way to the caller, as a stream or whole."""

    def __init__(self, server: Server, ask: ChatRequest, speaking: Speaking, exchange: Exchange) -> None:
        self.is_stream = ask.stream
        self._encoder = choose(server, ask, speaking.dialect, streamed=speaking.streamed)
        self.is_echo = isinstance(self._encoder, Echo)
        self._speaking = speaking
        self._exchange = exchange

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The reply's bytes, an error event last if it breaks; never a clean end to a broken reply."""
        try:
            async for packet in self._speaking:
                if data := self._encoder.encode(packet):
                    yield data
        except GatewayError as error:
            self._exchange.failure = error
            yield self._encoder.fail(error)

    async def whole(self) -> bytes:
        """The reply's body. Raises GatewayError; nothing has been sent then."""
        fold = Fold()
        async for packet in self._speaking:
            fold.add(packet)
        return self._encoder.whole(fold.whole())


class Gateway:
    """`buffered`: hold every answer back until it is complete, not only those of callers who ask for that."""

    def __init__(
        self, keys: Keyring, own: OwnAccounts, discovery: Discovery, dispatch: Dispatch, *, buffered: bool = False
    ) -> None:
        self._keys = keys
        self._own = own
        self._discovery = discovery
        self._dispatch = dispatch
        self._buffered = buffered

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
        own = self._own.accounts(caller)
        routes = await self._discovery.resolve(ask.model, own)
        kin = self._session(server, caller, ask, head)
        whole = self._is_heard_whole(ask, head)
        async with self._dispatch(ask, routes, own, exchange, session=kin, whole=whole) as speaking:
            answer = Answer(server, ask, speaking, exchange)
            if not answer.is_echo:
                exchange.notes.append("the reply came in another form than was asked for, and is told anew")
            yield answer
            if exchange.failure:
                raise exchange.failure

    def _session(self, server: Server, caller: Caller, ask: ChatRequest, head: RequestHead) -> Session:
        """The conversation it belongs to, where there is a choice of accounts to keep it on."""
        if not self._dispatch.has_choice:
            return STRANGER
        return session(caller.name, ask.session, head.headers, lambda: server.turns(ask))

    def _is_heard_whole(self, ask: ChatRequest, head: RequestHead) -> bool:
        """Whether the caller hears nothing before the end. Who does not stream never does."""
        return not ask.stream or self._buffered or head.headers.get("x-moongate-buffered", "").lower() == "true"
