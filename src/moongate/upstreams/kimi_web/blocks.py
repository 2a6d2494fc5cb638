"""What the blocks of a reply hold so far, so that what an event adds to them can be told."""

from collections.abc import Iterator
from typing import Literal, TypeAlias

from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.upstreams.kimi_web.schema import Block, Said

Field: TypeAlias = Literal["text", "think"]


class Piece(Struct, frozen=True):
    """What has been added to the answer or to the thinking before it."""

    text: str
    is_thinking: bool


class Blocks:
    """Applies `set` and `append`. Raises GatewayError (FAILED) where text that was told is replaced: it cannot be
    taken back from the caller."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Field], list[str]] = {}
        self._thinking: set[str] = set()

    def apply(self, block: Block, op: str, paths: tuple[str, ...]) -> Iterator[Piece]:
        """`paths`: what of the block is meant, empty for all that is there."""
        name = "" if block.id is None else str(block.id)
        if block.think and _is_meant("block.think", paths):
            yield from self._add(name, "think", block.think.content, op, is_thinking=True)
        if block.text:
            self._flag(name, block.text)
            if _is_meant("block.text", paths):
                content = _content(block.text, paths)
                yield from self._add(name, "text", content, op, is_thinking=name in self._thinking)

    def _flag(self, name: str, text: Said) -> None:
        if text.flags == "thinking":
            self._thinking.add(name)
        elif text.flags:
            self._thinking.discard(name)

    def _add(self, name: str, field: Field, content: str | None, op: str, *, is_thinking: bool) -> Iterator[Piece]:
        if content is None:
            return
        parts = self._known.setdefault((name, field), [])
        added = content if op == "append" else _beyond("".join(parts), content)
        if added is None and not is_thinking:  # thinking has been shown and is no answer
            raise GatewayError(Kind.FAILED, "the upstream took back what it had said")
        if added:
            parts.append(added)
            yield Piece(added, is_thinking)


def _beyond(known: str, content: str) -> str | None:
    """What `content` goes on with; None where it does not go on from what is known."""
    return content[len(known) :] if content.startswith(known) else None


def _is_meant(field: str, paths: tuple[str, ...]) -> bool:
    """Whether the content of a block's field is among what an event is about."""
    return not paths or any(path in ("block", field, f"{field}.content") for path in paths)


def _content(text: Said, paths: tuple[str, ...]) -> str | None:
    """None where nothing was said of it; a field that is set by its own name and left out is set to nothing."""
    return text.content if text.content is not None or not paths or "block" in paths else ""
