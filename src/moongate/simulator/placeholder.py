"""The smallest value that a JSON schema accepts, by its required properties and types. Not a validator."""

from collections.abc import Callable
from typing import Final

from moongate.simulator.values import JsonObject, as_object, as_objects, as_text

_DEPTH: Final = 6
_LARGEST: Final = 1 << 53


def placeholder(schema: object, root: object = None, depth: int = _DEPTH) -> object:
    """Understands type, required, enum, const, default, anyOf, oneOf, allOf, local $ref and simple bounds.

    A schema that needs itself to be satisfied ends in null.
    """
    rules = as_object(schema)
    root = rules if root is None else as_object(root)
    if depth == 0:
        return None
    if "$ref" in rules:
        return placeholder(_target(as_text(rules["$ref"]), root), root, depth - 1)
    for member in ("const", "default"):
        if member in rules:
            return rules[member]
    choices = rules.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    return _combined(rules, root, depth)


def _target(reference: str, root: object) -> object:
    value = root
    for step in reference.removeprefix("#").split("/"):
        value = as_object(value).get(step.replace("~1", "/").replace("~0", "~")) if step else value
    return value


def _combined(rules: JsonObject, root: object, depth: int) -> object:
    for member in ("anyOf", "oneOf"):
        options = as_objects(rules.get(member))
        if options:
            return placeholder({**_without(rules, member), **options[0]}, root, depth - 1)
    parts = as_objects(rules.get("allOf"))
    if parts:
        return placeholder(_merged([_without(rules, "allOf"), *parts]), root, depth - 1)
    return _typed(rules, root, depth)


def _without(rules: JsonObject, member: str) -> JsonObject:
    return {name: value for name, value in rules.items() if name != member}


def _merged(parts: list[JsonObject]) -> JsonObject:
    merged: JsonObject = {name: value for part in parts for name, value in part.items()}
    properties: JsonObject = {}
    required: list[object] = []
    for part in parts:
        properties |= as_object(part.get("properties"))
        named = part.get("required")
        required += named if isinstance(named, list) else []
    return {**merged, "properties": properties, "required": required}


def _typed(rules: JsonObject, root: object, depth: int) -> object:
    kind = rules.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    if not isinstance(kind, str):
        kind = "object" if "properties" in rules else "string"
    return _MAKERS.get(kind, _string)(rules, root, depth)


def _object(rules: JsonObject, root: object, depth: int) -> object:
    properties = as_object(rules.get("properties"))
    required = rules.get("required")
    names = required if isinstance(required, list) else []
    return {name: placeholder(properties.get(name), root, depth - 1) for name in names if isinstance(name, str)}


def _array(rules: JsonObject, root: object, depth: int) -> object:
    return [placeholder(rules.get("items"), root, depth - 1) for _ in range(min(_bound(rules, "minItems", 0), 16))]


def _string(rules: JsonObject, root: object, depth: int) -> object:
    least, most = _bound(rules, "minLength", 0), _bound(rules, "maxLength", 1 << 16)
    return "text".ljust(min(least, 1 << 16), ".")[:most]


def _integer(rules: JsonObject, root: object, depth: int) -> object:
    return min(max(1, _bound(rules, "minimum", 1)), _bound(rules, "maximum", _LARGEST))


def _number(rules: JsonObject, root: object, depth: int) -> object:
    value = rules.get("minimum", rules.get("maximum", 1.5))
    return value if isinstance(value, int | float) else 1.5


def _bound(rules: JsonObject, name: str, otherwise: int) -> int:
    value = rules.get(name)
    return int(value) if isinstance(value, int | float) and abs(value) < _LARGEST else otherwise


_MAKERS: Final[dict[str, Callable[[JsonObject, object, int], object]]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": lambda rules, root, depth: True,
    "null": lambda rules, root, depth: None,
}
