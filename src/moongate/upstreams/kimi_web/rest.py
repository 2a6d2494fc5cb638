"""Reads the replies of the older generation: events in JSON over SSE, as kimi.moonshot.cn streamed them from 2023 to
2025 and www.kimi.com for a while after.

Only `all_done` and `error` end a reply. `done` does not: text has been seen to follow it.
"""

from collections.abc import Iterator

from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Anchored, Closed, Delta, Opened, Reading
from moongate.dialects.dialect import Explain
from moongate.upstreams.kimi_web.answers import members
from moongate.upstreams.kimi_web.citations import Marks
from moongate.upstreams.kimi_web.refusals import SAID_OK, of_a_continued_chat
from moongate.upstreams.kimi_web.schema import Segment, read_segment
from moongate.upstreams.kimi_web.search import read_cards, read_citations, read_results
from moongate.upstreams.kimi_web.telling import Telling, nothing
from moongate.upstreams.kimi_web.unframed import Unframed
from moongate.wire.sse import Frame, SseDecoder, encode_sse

ANSWERS = frozenset({"cmpl", "text", "text_delta", "content"})
"""Events that carry the answer, or the thinking in a zone of that kind. All but the first are one client's word."""

THOUGHTS = frozenset({"k1", "think"})
THINKING_ZONES = frozenset({"thought", "thinking", "think"})


class RestDecoder:
    """As `ConnectDecoder`; `chat` is the chat that was asked, which the stream does not name."""

    def __init__(self, explain: Explain, *, marks: Marks, asked_tokens: int, continues: bool, chat: str) -> None:
        early = of_a_continued_chat(explain) if continues else explain
        self._frames = SseDecoder()
        self._unframed = Unframed(early)
        self._reply = Replying(explain, early, Telling(marks, asked_tokens), chat)

    def feed(self, data: bytes) -> Iterator[Reading]:
        if not self._unframed.takes(data):
            for frame in self._frames.feed(data):
                yield Reading(frame.raw, tuple(self._deltas(frame)))

    def end(self) -> Iterator[Reading]:
        self._unframed.end()
        if rest := self._frames.end():
            try:
                yield Reading(rest.raw, tuple(self._deltas(rest)))
            except GatewayError as error:
                # Half a frame is a cut, not a malformed one.
                raise GatewayError.truncated() if error.kind is Kind.PROTOCOL else error from error
            if rest.raw.strip() and not (rest.data or b"").strip():
                raise GatewayError.truncated()
        if deltas := tuple(self._reply.end()):
            yield Reading(encode_sse(b'{"event":"all_done"}'), deltas)  # which was left out

    def _deltas(self, frame: Frame) -> Iterator[Delta]:
        if data := (frame.data or b"").strip():
            yield from self._reply.read(data)


class Replying:
    """Follows one reply, event by event. `early` explains in place of `explain` until something has been told."""

    def __init__(self, explain: Explain, early: Explain, telling: Telling, chat: str) -> None:
        self._explain, self._early = explain, early
        self._telling = telling
        self._chat = chat
        self._zone = ""
        self._is_open = self._is_done = self._is_closed = False

    def read(self, data: bytes) -> Iterator[Delta]:
        segment = read_segment(data)
        event = segment.event or ""
        if event == "error" or (not event and (segment.error or segment.error_type)):
            raise (self._explain if self._telling.has_begun else self._early)(SAID_OK, data)
        yield from self._open(segment, event)
        if event in ANSWERS or event in THOUGHTS:
            yield from self._say(segment, event)
        elif event == "zone_set":
            self._zone = (segment.zone_type or "").lower()
        elif event == "done":
            self._is_done = True
        elif event == "length":
            yield from self._telling.finish("length")
        elif event == "all_done":
            yield from self._close()
        self._search(segment, event)

    def end(self) -> Iterator[Delta]:
        """The bytes ran out, with or without `all_done`."""
        if not self._is_closed:
            if not (self._is_done or self._telling.is_finished):
                raise GatewayError.truncated()
            yield from self._close()

    def _open(self, segment: Segment, event: str) -> Iterator[Delta]:
        if not self._is_open and (event == "resp" or event in ANSWERS or event in THOUGHTS):
            self._is_open = True
            yield Opened(segment.id or "", "")
            if self._chat:
                yield Anchored(self._chat)

    def _say(self, segment: Segment, event: str) -> Iterator[Delta]:
        content = segment.content if isinstance(segment.content, str) else ""
        text = segment.text or segment.text_delta or content
        if event in THOUGHTS or self._zone in THINKING_ZONES:
            yield from self._telling.think(text)
        elif text:
            yield from self._telling.say(text)

    def _search(self, segment: Segment, event: str) -> None:
        pages = self._telling.pages
        match event:
            case "search_plus":
                message = members(segment.msg)
                if message.get("type") == "get_res":
                    read_results(pages, [message])
            case "k1":
                read_results(pages, segment.search_results)
            case "search_citation":
                read_citations(pages, segment.values)
            case "ref_docs":
                read_cards(pages, segment.ref_cards)
            case _:
                pass

    def _close(self) -> Iterator[Delta]:
        if not (self._telling.has_text or self._telling.is_finished):
            raise nothing()
        self._is_closed = True
        yield from self._telling.finish("stop")
        yield Closed()
