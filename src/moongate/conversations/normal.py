"""The normal form of a message, by which it is known again: what was said, however it was spelled.

Thinking, the ids of tool calls, the spacing at both ends and the order of keys in arguments do not count: clients drop
the first, rewrite the second, trim the third and sort the fourth.
"""

from hashlib import blake2b

import msgspec
from msgspec import Struct

from moongate.core.prompt import Call, Media, Message, Part, Role, Words


class Line(Struct, frozen=True):
    """One message as far as it has to be told from others."""

    role: Role
    digest: bytes


def line(message: Message) -> Line:
    spoken = blake2b(digest_size=16)
    for said in (message.role, *_parts(message.parts), *map(_call, message.calls)):
        data = said if isinstance(said, bytes) else said.encode("utf-8", "surrogatepass")
        spoken.update(len(data).to_bytes(8) + data)
    return Line(message.role, spoken.digest())


def _parts(parts: tuple[Part, ...]) -> list[str | bytes]:
    """Texts that follow each other are one text: some clients send a list where others send a string."""
    told: list[str | bytes] = []
    words: list[str] = []
    for part in parts:
        match part:
            case Words(text):
                words.append(text)
            case Media():
                told += [*_text(words), part.kind, part.data or part.url]
                words = []
    return [*told, *_text(words)]


def _text(words: list[str]) -> list[str]:
    text = "".join(words).strip()
    return [text] if text else []


def _call(call: Call) -> str:
    try:
        arguments = msgspec.json.encode(msgspec.json.decode(call.arguments), order="deterministic").decode()
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        arguments = call.arguments.strip()
    return f"{call.name}({arguments})"
