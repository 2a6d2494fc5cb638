"""JSON as the simulator reads and writes it, and looks into values of unknown shape. Not a codec of any dialect."""

import json
from collections.abc import Iterable
from typing import Final, TypeAlias, cast

JsonObject: TypeAlias = dict[str, object]


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_DEEPEST: Final = 256
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def loads(data: bytes | str) -> object:
    """Integers keep every digit. Raises ValueError on anything that is not JSON, also when it nests too deeply."""
    try:
        value = cast("object", _DECODER.decode(data if isinstance(data, str) else data.decode()))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _bound_depth(value)
    return value


def _bound_depth(value: object) -> None:
    """What can be read must also be possible to write, hash and convert, all of which recurse."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError("nested too deeply")


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def dumps(value: object) -> bytes:
    """Compact UTF-8 with non-ASCII written out; a lone surrogate, which UTF-8 cannot carry, becomes `?`."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def as_object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def as_objects(value: object) -> list[JsonObject]:
    """The objects in a list; whatever else stands in it is passed over."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def as_text(value: object) -> str:
    return value if isinstance(value, str) else ""


def content_text(content: object) -> str:
    """The words of a message content, which is a string or a list of parts."""
    if isinstance(content, str):
        return content
    return "\n".join(as_text(part.get("text")) for part in as_objects(content) if part.get("type") == "text")
