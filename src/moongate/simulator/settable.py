"""Settings that a test changes in place, or another process by JSON. Pure."""

from typing import Final

import msgspec

from moongate.simulator.values import JsonObject

_NAMED: Final = msgspec.structs.fields


def change(settings: msgspec.Struct, kind: type[msgspec.Struct], given: object) -> None:
    """Set the fields of `kind`, a base of these settings, that are given as JSON values: all of them, or none.

    Raises ValueError that says what is wrong with them.
    """
    if not isinstance(given, dict):
        raise ValueError("Expected an object of settings")  # noqa: TRY004 - as for all that is wrong
    types = {field.name: field.type for field in _NAMED(kind)}
    if unknown := sorted(map(str, given.keys() - types.keys())):
        raise ValueError(f"no such setting {unknown[0]!r}; there are {', '.join(types)}")
    values = {name: _converted(name, value, types[name]) for name, value in given.items()}
    kind(**{name: getattr(settings, name) for name in types} | values)  # which refuses what does not fit together
    for name, value in values.items():
        setattr(settings, name, value)


def shown(settings: msgspec.Struct, kind: type[msgspec.Struct]) -> JsonObject:
    """The fields of `kind` as `change` takes them."""
    return {field.name: msgspec.to_builtins(getattr(settings, field.name)) for field in _NAMED(kind)}


def restore(settings: msgspec.Struct) -> None:
    """Every field is as in the beginning."""
    fresh = type(settings)()
    for name in settings.__struct_fields__:
        setattr(settings, name, getattr(fresh, name))


def _converted(name: str, value: object, wanted: object) -> object:
    try:
        converted: object = msgspec.convert(value, wanted)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(f"{name}: {error}") from None
    return converted
