"""A whole reply: the fold of the events it was told in."""

from typing import assert_never

from msgspec import Struct

from moongate.core.events import (
    Anchored,
    BlockDelta,
    BlockEnded,
    BlockKind,
    BlockStarted,
    Cited,
    Ended,
    FinishReason,
    Packet,
    Started,
    Usage,
)


class Block(Struct, frozen=True):
    kind: BlockKind
    text: str
    tool_id: str = ""
    tool_name: str = ""


class Reply(Struct, frozen=True):
    """`raw` is what it came in, for whoever speaks the same dialect. `anchor`: where the upstream remembers it, if it
    does."""

    id: str
    model: str
    created: int
    blocks: tuple[Block, ...]
    reason: FinishReason
    usage: Usage | None
    raw: bytes = b""
    citations: tuple[Cited, ...] = ()
    anchor: Anchored | None = None


class Fold:
    """Collects packets until the reply is whole."""

    def __init__(self) -> None:
        self._started = Started("", "")
        self._ended: Ended | None = None
        self._heads: list[BlockStarted] = []
        self._texts: list[list[str]] = []
        self._raw: list[bytes] = []
        self._citations: list[Cited] = []
        self._anchor: Anchored | None = None

    def add(self, packet: Packet) -> None:
        self._raw.append(packet.raw)
        for event in packet.events:
            match event:
                case BlockDelta(text=text):
                    self._texts[-1].append(text)
                case BlockStarted():
                    self._heads.append(event)
                    self._texts.append([])
                case Started():
                    self._started = event
                case Ended():
                    self._ended = event
                case Cited():
                    self._citations.append(event)
                case Anchored():
                    self._anchor = event
                case BlockEnded():
                    pass
                case _:
                    assert_never(event)

    def whole(self) -> Reply:
        """The reply. The events must have come to their end, which the assembler saw to."""
        if self._ended is None:
            raise ValueError("a reply was folded before it had ended")
        blocks = (
            Block(head.kind, "".join(texts), head.tool_id, head.tool_name)
            for head, texts in zip(self._heads, self._texts, strict=True)
        )
        start, end, raw = self._started, self._ended, b"".join(self._raw)
        return Reply(
            start.id,
            start.model,
            start.created,
            tuple(blocks),
            end.reason,
            end.usage,
            raw,
            tuple(self._citations),
            self._anchor,
        )
