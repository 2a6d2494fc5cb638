"""What a model says, as it says it.

Decoders report *deltas*: what the upstream sent, loose and stateless. The assembler (`core/assemble.py`) turns them
into *events*, whose order is a small grammar that every encoder can rely on:

    Started (BlockStarted BlockDelta* BlockEnded)* Ended
"""

from typing import Literal, TypeAlias

from msgspec import Struct

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "filtered"]
BlockKind: TypeAlias = Literal["text", "thinking", "tool_call"]


class Usage(Struct, frozen=True):
    """Token counts. `input` includes `cached`; `output` includes `thinking`."""

    input: int = 0
    output: int = 0
    cached: int = 0
    thinking: int = 0


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


Delta: TypeAlias = Opened | Text | Thinking | ToolCall | Metered | Finished | Closed


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


Event: TypeAlias = Started | BlockStarted | BlockDelta | BlockEnded | Ended


class Packet(Struct, frozen=True):
    """One read from the upstream, as the rest of the gateway sees it: its frames' bytes and what they meant.

    `raw` is empty where the gateway itself drew the conclusion, as when a stream ends without its terminator.
    """

    raw: bytes
    events: tuple[Event, ...] = ()
