"""A caller's JSON schema, and whether an answer fits it.

Schemas come from callers and are looked at while others wait, so nothing is ever fetched for one, the work on an answer
is bounded, and regular expressions (`pattern`, `patternProperties`) are told to the model and not checked: there are
some that keep a processor busy for ever.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Protocol, TypeAlias

import msgspec
from jsonschema import Draft4Validator, Draft6Validator, Draft7Validator, Draft201909Validator, Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from msgspec import Raw
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from moongate.core.errors import GatewayError, Kind

LATEST = "https://json-schema.org/draft/2020-12/schema"

DRAFTS = {
    "http://json-schema.org/draft-04/schema": Draft4Validator,
    "http://json-schema.org/draft-06/schema": Draft6Validator,
    "http://json-schema.org/draft-07/schema": Draft7Validator,
    "https://json-schema.org/draft/2019-09/schema": Draft201909Validator,
    LATEST: Draft202012Validator,
}

REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")

STEPS = 40_000
"""Keywords looked at for one answer: less than a second's work."""

LONGEST = 64 * 1024
"""Bytes of a schema: to see whether it is one takes less than a second, too."""

PARAM = "response_format"

Check: TypeAlias = Callable[[object, object, object, object], Iterable[ValidationError] | None]


class Validator(Protocol):
    def iter_errors(self, instance: object) -> Iterator[ValidationError]: ...


BROKEN = (Unresolvable, ValueError, TypeError, AttributeError, LookupError)
"""What the library raises on schemas that its own meta-schemas let pass, such as a reference into a number."""


class _TooCostly(Exception):  # noqa: N818  # told as a GatewayError
    pass


class Schema:
    """Raises GatewayError (INVALID_REQUEST) for what is no schema, or one that refers to something outside of it."""

    def __init__(self, raw: Raw) -> None:
        if len(bytes(raw)) > LONGEST:
            raise _unusable(f"it is longer than {LONGEST} bytes")
        try:
            schema = msgspec.json.decode(raw) if raw else {}
            draft = _draft(schema)
            references = list(_references(schema))
            DRAFTS[draft].check_schema(schema)
            _resolve(schema, draft, references)
            self._schema, self._draft = schema, draft
            self.breach({})  # one that only ever refers to itself is found out here
        except SchemaError as error:
            raise _unusable(f"{error.json_path}: {error.message[:200]}") from error
        except (msgspec.DecodeError, UnicodeError) as error:
            raise _unusable(str(error)) from error
        except BROKEN as error:
            raise _unusable(f"it cannot be followed: {str(error)[:200]}") from error
        except RecursionError as error:
            raise _unusable("it is nested too deeply, or refers to itself without end") from error

    def breach(self, value: object) -> str:
        """What is wrong with `value`, in a few words and without repeating it; empty where it fits.

        Raises GatewayError (INVALID_REQUEST) where that is too much work to find out, RecursionError where `value` is
        nested too deeply, ArithmeticError where a number in it is too large.
        """
        validator = _bounded(self._draft, has_patterns=_has_patterns(self._schema))
        try:
            error = next(validator(self._schema).iter_errors(value), None)
        except _TooCostly as failure:
            raise _unusable("it takes too long to check an answer against it") from failure
        except BROKEN as failure:
            raise _unusable(f"it cannot be followed: {str(failure)[:200]}") from failure
        return "" if error is None else f"{str(error.json_path)[:100]} breaks the schema's {error.validator}"


def _unusable(why: str) -> GatewayError:
    return GatewayError(Kind.INVALID_REQUEST, f"{PARAM}: the schema cannot be used: {why}", param=PARAM)


def _draft(schema: object) -> str:
    """Which it names; the latest where it names none, or one that is not known."""
    named = schema.get("$schema") if isinstance(schema, dict) else None
    draft = named.rstrip("#") if isinstance(named, str) else LATEST
    return draft if draft in DRAFTS else LATEST


def _objects(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, dict):
        yield value
        for member in value.values():
            yield from _objects(member)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)


def _references(schema: object) -> Iterator[str]:
    """Those to places in the schema itself. Takes out `$schema`, which in a part would undo our bounds, and `$id`,
    which would have them lead elsewhere."""
    for part in list(_objects(schema)):
        for name in ("$schema", "$id", "id"):
            if isinstance(part.get(name), str):
                del part[name]
        for name in REFERENCES:
            to = part.get(name)
            if isinstance(to, str):
                if not to.startswith("#"):
                    raise _unusable(f"{to[:100]!r} is outside of it, and nothing is fetched")
                yield to


def _resolve(schema: object, draft: str, references: Iterable[str]) -> None:
    resource = specification_with(draft).create_resource(schema)
    resolver = Registry().resolver_with_root(resource)
    for to in references:
        try:
            resolver.lookup(to)
        except BROKEN as error:
            raise _unusable(f"{to[:100]!r} leads nowhere") from error


def _has_patterns(schema: object) -> bool:
    return any("patternProperties" in part for part in _objects(schema))


def _bounded(draft: str, *, has_patterns: bool) -> Callable[[object], Validator]:
    """A validator that gives up in time. Without the patterns it is not known which members are additional."""
    left = STEPS

    def bounded(check: Check, cost: Callable[[object], int]) -> Check:
        def checked(
            validator: object, value: object, instance: object, schema: object
        ) -> Iterable[ValidationError] | None:
            nonlocal left
            left -= cost(instance)
            if left < 0:
                raise _TooCostly
            return check(validator, value, instance, schema)

        return checked

    base = DRAFTS[draft]
    skipped = UNCHECKED | (WITH_PATTERNS if has_patterns else frozenset())
    checks: Mapping[str, Check] = base.VALIDATORS
    limited = {
        name: _passed if name in skipped else bounded(check, _pairs if name == "uniqueItems" else _one)
        for name, check in checks.items()
    }
    made: Callable[..., Validator] = extend(base, limited)  # type: ignore[no-untyped-call]  # its stubs leave it open
    return partial(made, registry=Registry())


UNCHECKED = frozenset({"pattern", "patternProperties"})
WITH_PATTERNS = frozenset({"additionalProperties", "unevaluatedProperties"})


def _passed(validator: object, value: object, instance: object, schema: object) -> None:
    """Nothing is wrong."""


def _one(instance: object) -> int:
    return 1


def _pairs(instance: object) -> int:
    """Items that cannot be sorted are compared each with each; twenty such steps are as much work as another one."""
    if not isinstance(instance, list) or all(isinstance(item, str) for item in instance):
        return 1
    return 1 + len(instance) ** 2 // 20
