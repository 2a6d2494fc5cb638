"""Turns a decoder's loose deltas into the grammar of `events`. The only place that knows it.

Theory of operation: at most one block is open. A delta of another kind, or of another tool call, closes it and opens
the next. What cannot be told truthfully is refused: a reply that never gave its reason to stop was cut short, and a
tool call that goes on after it was closed cannot be told in order. The grammar is sequential; an upstream that
alternated between two parallel tool calls would be refused here, and none has been seen to.
"""

from collections.abc import Iterable, Iterator
from typing import assert_never

from moongate.core.errors import GatewayError
from moongate.core.events import (
    Anchored,
    BlockDelta,
    BlockEnded,
    BlockKind,
    BlockStarted,
    Cited,
    Closed,
    Delta,
    Ended,
    Event,
    Finished,
    FinishReason,
    Metered,
    Opened,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
)


class Assembler:
    """Reads deltas, tells events. `feed` and `end` raise GatewayError (TRUNCATED, PROTOCOL)."""

    def __init__(self) -> None:
        self._started = False
        self._ended = False
        self._blocks = 0
        self._open: BlockKind | None = None
        self._tool, self._tool_id = -1, ""
        self._usage: Usage | None = None
        self._reason: FinishReason | None = None

    @property
    def is_complete(self) -> bool:
        """The reply gave its reason to stop: whatever is still missing is not part of the answer."""
        return self._reason is not None

    @property
    def has_ended(self) -> bool:
        return self._ended

    @property
    def usage(self) -> Usage | None:
        """What has been told of tokens so far."""
        return self._usage

    def feed(self, deltas: Iterable[Delta]) -> Iterator[Event]:
        for delta in deltas:
            yield from self._step(delta)

    def end(self) -> Iterator[Event]:
        """The bytes ran out. A reply that had not given its reason to stop was cut short."""
        return self._step(Closed())

    def _step(self, delta: Delta) -> Iterator[Event]:
        if self._ended:
            return
        match delta:
            case Text(text):
                yield from self._say("text", text)
            case Thinking(text):
                yield from self._say("thinking", text)
            case ToolCall():
                yield from self._call(delta)
            case Opened(id, model, created):
                yield from self._start(id, model, created)
            case Anchored():
                yield delta
            case Cited():
                yield from self._start("", "", 0)
                yield delta
            case Metered(usage):
                self._usage = usage
            case Finished(reason):
                self._reason = reason
            case Closed():
                yield from self._end()
            case _:
                assert_never(delta)

    def _start(self, id: str, model: str, created: int) -> Iterator[Event]:
        if not self._started:
            self._started = True
            yield Started(id, model, created)

    def _say(self, kind: BlockKind, text: str) -> Iterator[Event]:
        if self._open != kind:
            yield from self._switch(kind)
        yield BlockDelta(self._blocks - 1, kind, text)

    def _call(self, fragment: ToolCall) -> Iterator[Event]:
        # A new id is a new call, also under an index that was used: some servers number all their calls 0.
        is_named_anew = bool(fragment.id) and fragment.id != self._tool_id
        if self._open != "tool_call" or fragment.index != self._tool or is_named_anew:
            if fragment.index <= self._tool and not is_named_anew:
                raise GatewayError.protocol(f"tool call {fragment.index} went on after it was closed")
            self._tool, self._tool_id = fragment.index, fragment.id
            yield from self._switch("tool_call", fragment.id, fragment.name)
        if fragment.arguments:
            yield BlockDelta(self._blocks - 1, "tool_call", fragment.arguments)

    def _switch(self, kind: BlockKind, tool_id: str = "", tool_name: str = "") -> Iterator[Event]:
        yield from self._start("", "", 0)
        yield from self._close()
        self._open = kind
        self._blocks += 1
        yield BlockStarted(self._blocks - 1, kind, tool_id, tool_name)

    def _close(self) -> Iterator[Event]:
        if self._open is not None:
            yield BlockEnded(self._blocks - 1, self._open)
            self._open = None

    def _end(self) -> Iterator[Event]:
        if self._reason is None:
            raise GatewayError.truncated()
        self._ended = True
        yield from self._start("", "", 0)
        yield from self._close()
        yield Ended(self._reason, self._usage)
