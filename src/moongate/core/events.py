"""What a model says, as it says it.

Decoders report *deltas*: what the upstream sent, loose and stateless. The assembler (`core/assemble.py`) turns them
into *events*, whose order is a small grammar that every encoder can rely on:

    Started (BlockStarted BlockDelta* BlockEnded)* Ended

`Cited` and `Anchored` are both: they pass as they are, and may stand anywhere before the end.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "filtered"]
BlockKind: TypeAlias = Literal["text", "thinking", "tool_call"]


class Usage(Struct, frozen=True):
    """Token counts. `input` includes `cached`; `output` includes `thinking`. `is_estimate`: nobody counted them."""

    input: int = 0
    output: int = 0
    cached: int = 0
    thinking: int = 0
    is_estimate: bool = False


# Both deltas and events.


class Cited(Struct, frozen=True):
    """What the answer says is taken from a page. `start` and `end` are characters of the answer's text (all its text
    blocks together), from `start` on and before `end`: where the mark for it stands, or would stand."""

    url: str
    title: str
    start: int
    end: int


class Anchored(Struct, frozen=True):
    """The upstream remembers this exchange: in its `chat`, up to and with the reply `message`, empty where it names
    none. May come several times, as more becomes known; the last one counts."""

    chat: str
    message: str = ""


# Deltas: what a decoder may report.


class Opened(Struct, frozen=True):
    """The reply has a name. `created` is in seconds since 1970, 0 where the dialect does not say."""

    id: str
    model: str
    created: int = 0


class Text(Struct, frozen=True):
    text: str


class Thinking(Struct, frozen=True):
    text: str


class ToolCall(Struct, frozen=True):
    """A fragment of a tool call. `id` and `name` come with the first fragment of each `index`."""

    index: int
    arguments: str = ""
    id: str = ""
    name: str = ""


class Metered(Struct, frozen=True):
    usage: Usage


class Finished(Struct, frozen=True):
    reason: FinishReason


class Closed(Struct, frozen=True):
    """The upstream said that it has no more to say."""


Delta: TypeAlias = Opened | Text | Thinking | ToolCall | Cited | Anchored | Metered | Finished | Closed


class Reading(Struct, frozen=True):
    """One upstream frame, as its decoder reads it."""

    raw: bytes
    deltas: tuple[Delta, ...] = ()


# Events: what the assembler makes of them.


class Started(Struct, frozen=True):
    id: str
    model: str
    created: int = 0


class BlockStarted(Struct, frozen=True):
    index: int
    kind: BlockKind
    tool_id: str = ""
    tool_name: str = ""


class BlockDelta(Struct, frozen=True):
    index: int
    kind: BlockKind
    text: str


class BlockEnded(Struct, frozen=True):
    index: int
    kind: BlockKind


class Ended(Struct, frozen=True):
    """`usage` is None where the upstream reported none: unknown is not zero."""

    reason: FinishReason
    usage: Usage | None = None


Event: TypeAlias = Started | BlockStarted | BlockDelta | BlockEnded | Cited | Anchored | Ended


class Packet(Struct, frozen=True):
    """One read from the upstream, as the rest of the gateway sees it: its frames' bytes and what they meant.

    `raw` is empty where the gateway itself drew the conclusion, as when a stream ends without its terminator.
    `is_complete`: nothing of the answer is missing any more, though its end may still have to be told.
    """

    raw: bytes
    events: tuple[Event, ...] = ()
    is_complete: bool = False
