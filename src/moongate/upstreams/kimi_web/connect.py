"""Reads the replies of the Connect generation, as www.kimi.com has streamed them since autumn 2025.

A stream tells of a chat: its name, the question as the upstream has it, the answer's blocks, search results. Only the
trailer ends it: `done` and the answer's COMPLETED come before, and an error may still follow them. The question is
COMPLETED as well, and first of all; so every status is held against the answer's own id.
"""

import re
from collections.abc import Iterator

from msgspec import UNSET, Raw

from moongate.core.errors import GatewayError
from moongate.core.events import Anchored, Closed, Delta, Opened, Reading
from moongate.dialects.dialect import Explain
from moongate.upstreams.kimi_web.answers import members, said, word
from moongate.upstreams.kimi_web.blocks import Blocks
from moongate.upstreams.kimi_web.citations import Marks
from moongate.upstreams.kimi_web.refusals import SAID_OK, of_a_continued_chat
from moongate.upstreams.kimi_web.schema import (
    Block,
    Event,
    Message,
    is_failure,
    read_blocks,
    read_event,
    says_something,
)
from moongate.upstreams.kimi_web.search import read_refs, read_search, read_tool
from moongate.upstreams.kimi_web.telling import Telling, nothing
from moongate.upstreams.kimi_web.unframed import Unframed
from moongate.wire.connect import END, Envelope, EnvelopeDecoder, encode_envelope

_COMPLETED = "MESSAGE_STATUS_COMPLETED"
_BROKEN = re.compile(r"_STATUS_\w*(FAIL|CANCEL|INTERRUPT|STOP)")
"""Of a message that will not be finished. In no capture; taken from how such names are made."""

_FILTER = re.compile("CONTENT.*FILTER")


class ConnectDecoder:
    """`explain` reads errors told under 200. `continues`: a chat was continued, and errors that may mean that it is
    gone become CHAT_GONE as long as nothing has been told; `chat` is its id, for where the stream does not say."""

    def __init__(self, explain: Explain, *, marks: Marks, asked_tokens: int, continues: bool, chat: str = "") -> None:
        early = of_a_continued_chat(explain) if continues else explain
        self._envelopes = EnvelopeDecoder()
        self._unframed = Unframed(early)
        self._reply = Replying(explain, early, Telling(marks, asked_tokens), chat)

    def feed(self, data: bytes) -> Iterator[Reading]:
        if not self._unframed.takes(data):
            for envelope in self._envelopes.feed(data):
                yield Reading(envelope.raw, tuple(self._reply.read(envelope)))

    def end(self) -> Iterator[Reading]:
        self._unframed.end()
        if self._envelopes.end():
            raise GatewayError.truncated()
        yield Reading(encode_envelope(b"{}", END), tuple(self._reply.end()))  # the trailer that was left out


class Replying:
    """Follows one reply, event by event. `early` explains in place of `explain` until something has been told."""

    def __init__(self, explain: Explain, early: Explain, telling: Telling, chat: str) -> None:
        self._explain, self._early = explain, early
        self._telling = telling
        self._blocks = Blocks()
        self._calls: dict[str, str] = {}
        self._chat, self._answer, self._status = chat, "", ""
        self._anchored = Anchored("")
        self._asked: set[str] = set()
        self._is_done = self._was_filtered = False

    def read(self, envelope: Envelope) -> Iterator[Delta]:
        if envelope.is_end:
            yield from self._close(envelope.payload)
        elif envelope.payload:
            yield from self._event(read_event(envelope.payload))

    def end(self) -> Iterator[Delta]:
        """The bytes ran out before the trailer, which some paths leave out."""
        if not (self._is_done or self._status == _COMPLETED):
            raise GatewayError.truncated()
        yield from self._finish()

    def _close(self, trailer: bytes) -> Iterator[Delta]:
        if is_failure(trailer):
            raise self._failure(trailer)
        yield from self._finish()

    def _finish(self) -> Iterator[Delta]:
        if not self._telling.has_text:
            raise nothing(was_filtered=self._was_filtered)
        if _BROKEN.search(self._status):
            raise GatewayError.truncated()
        yield from self._telling.finish("stop")
        yield Closed()

    def _event(self, event: Event) -> Iterator[Delta]:
        self._refuse(event.exception)
        if says_something(event.error):
            raise self._failure(b'{"error":%b}' % bytes(event.error))
        if event.chat and event.chat.id:
            self._chat = event.chat.id
        if event.message:
            yield from self._message(event.message)
        yield from self._anchor()
        if event.block and not (event.block.message_id and event.block.message_id in self._asked):
            yield from self._block(event.block, event.op or "set", event.paths)
        if search := members(members(event.ref).get("search")):
            read_search(self._telling.pages, search, is_mirror=True)
        if event.notification and _FILTER.search(str(event.notification.type or "").upper()):
            self._was_filtered = True
        if event.done is not UNSET and event.done not in (None, False):  # it is {}, which is false as well
            self._is_done = True

    def _message(self, message: Message) -> Iterator[Delta]:
        """The question's echo and the answer's own frames. Later ones bear an id and no role, or neither."""
        role, name = (message.role or "").lower(), message.id or ""
        if role.endswith("user"):
            self._asked.add(name)
        elif role.endswith("assistant") and name:
            if not self._answer:
                yield Opened(name, "")
            self._answer = name
        if name and name == self._answer:
            self._status = message.status or self._status
            for block in read_blocks(message.blocks):
                self._refuse(block.exception)
                if block.id is not None:
                    yield from self._block(block, "set", ())
        if name in (self._answer, "") and not role.endswith("user"):
            read_refs(self._telling.pages, members(message.refs))

    def _anchor(self) -> Iterator[Anchored]:
        now = Anchored(self._chat, self._answer)
        if self._chat and now != self._anchored:
            self._anchored = now
            yield now

    def _block(self, block: Block, op: str, paths: tuple[str, ...]) -> Iterator[Delta]:
        self._refuse(block.exception)
        pages, name = self._telling.pages, str(block.id)
        if tool := members(block.tool):
            self._calls[name] = word(tool, "toolCallId") or self._calls.get(name, "")
            read_tool(pages, tool, self._calls[name])
        if search := members(block.search):
            read_search(pages, search, is_mirror=op != "append")
        for piece in self._blocks.apply(block, op, paths):
            yield from self._telling.think(piece.text) if piece.is_thinking else self._telling.say(piece.text)

    def _refuse(self, exception: Raw) -> None:
        """Raises what an exception stands for; one with an empty error is none."""
        told = said(exception)
        is_empty = "error" in told and not told["error"]
        if says_something(exception) and not is_empty:
            raise self._failure(b'{"exception":%b}' % bytes(exception))

    def _failure(self, body: bytes) -> GatewayError:
        return (self._explain if self._telling.has_begun else self._early)(SAID_OK, body)
