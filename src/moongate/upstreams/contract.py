"""What an endpoint accepts of a request, as rows; and how a request is made to fit them.

Common clients send what Kimi answers with 400: other temperatures than the pinned one, the `developer` role, a tool
forced while the model thinks, empty text parts. Each row says what is done about it, and every change is announced.
Rows speak of the wire: they apply to the body as it is about to leave, whatever dialect it was asked in.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias, assert_never

import msgspec
from msgspec import Raw, Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.request import Params
from moongate.wire.patch import GONE, Gone, fields, patch


class Pinned(Struct, frozen=True):
    """One value is accepted; others are dropped, so that the endpoint uses its own. `unthinking`: with thinking off."""

    field: str
    value: float
    unthinking: float | None = None


class SystemRole(Struct, frozen=True):
    """`developer`, which OpenAI's newer clients send, is spelled `system`."""


class NoEmptyText(Struct, frozen=True):
    """Empty text parts are taken out, and messages that were nothing else; so are empty lists beside tool calls."""


class ToolChoice(Struct, frozen=True):
    """What stands in for a choice the endpoint refuses. `named`: a forced function; the others are not offered then.
    `only_thinking`: the refusal holds only while the model thinks."""

    named: Literal["required", "auto"]
    required: Literal["required", "auto"]
    only_thinking: bool


Rule: TypeAlias = Pinned | SystemRole | NoEmptyText | ToolChoice
Thinks: TypeAlias = Literal["always", "by default"]


class Contract(Struct, frozen=True):
    """`models` are shell patterns of the upstream's own names."""

    models: tuple[str, ...]
    rules: tuple[Rule, ...]
    thinks: Thinks = "by default"


class Fitted(Struct, frozen=True):
    body: bytes
    notes: tuple[str, ...] = ()


Value: TypeAlias = Raw | Gone
Change: TypeAlias = tuple[dict[str, Value], str]
"""Top-level members and their new values, and the note that announces it."""


def fit(contracts: Iterable[Contract], model: str, body: bytes, mode: Params) -> Fitted:
    """`body` as `model` accepts it. Raises GatewayError (INVALID_REQUEST) in mode `strict` where a change is needed."""
    contract = next((row for row in contracts if any(fnmatchcase(model, name) for name in row.models)), None)
    if contract is None or mode == "pass":
        return Fitted(body)
    members: dict[str, Value] = {**fields(body)}
    thinking = contract.thinks == "always" or not _is_off(members.get("thinking"))
    changes: dict[str, Value] = {}
    notes: list[str] = []
    for rule in contract.rules:
        for change, note in _apply(rule, members, thinking, model):
            if mode == "strict":
                message = f"{note} (refused, as x-moongate-params: strict asks)"
                raise GatewayError(Kind.INVALID_REQUEST, message, param=next(iter(change)))
            members.update(change)
            changes.update(change)
            notes.append(note)
    return Fitted(patch(body, changes), tuple(notes))


def _apply(rule: Rule, members: Mapping[str, Value], thinking: bool, model: str) -> Iterable[Change]:
    match rule:
        case Pinned():
            return _pinned(rule, members, thinking, model)
        case SystemRole():
            return _messages(members, b'"developer"', _as_system, "role developer sent as system")
        case NoEmptyText():
            return _messages(members, b'""', _without_empty_text, "empty text parts left out")
        case ToolChoice():
            return _tool_choice(rule, members, thinking, model)
        case _:
            assert_never(rule)


# Parameters that take one value only.


def _pinned(rule: Pinned, members: Mapping[str, Value], thinking: bool, model: str) -> Iterable[Change]:
    sent = members.get(rule.field)
    only = rule.value if thinking or rule.unthinking is None else rule.unthinking
    if isinstance(sent, Raw) and bytes(sent) != b"null" and msgspec.json.decode(sent) != only:
        yield {rule.field: GONE}, f"{rule.field} left out: {model} takes only {only:g}"


def _is_off(thinking: Value | None) -> bool:
    return isinstance(thinking, Raw) and _member(thinking, "type") == "disabled"


def _member(value: Raw, key: str) -> object:
    """A member of an object, None where `value` is no object or has no such member."""
    read = msgspec.json.decode(value)
    return read.get(key) if isinstance(read, dict) else None


# Messages. Those that need no change keep their bytes.

Message: TypeAlias = dict[str, Raw]
Amend: TypeAlias = Callable[[Message], Message | None]
"""A message as it should be: the same object if it may stay, None if nothing is left of it."""


def _messages(members: Mapping[str, Value], sign: bytes, amend: Amend, note: str) -> Iterable[Change]:
    """`sign`: bytes without which no message can need the change, so that most requests are not even read."""
    sent = members.get("messages")
    if not isinstance(sent, Raw) or not (sign in bytes(sent) or b"[]" in bytes(sent)):
        return
    before = msgspec.json.decode(sent, type=list[Message])
    after = [amend(message) for message in before]
    kept = [message for message in after if message is not None]
    if kept and any(new is not old for new, old in zip(after, before, strict=True)):
        yield {"messages": Raw(msgspec.json.encode(kept))}, note


def _as_system(message: Message) -> Message | None:
    if bytes(message["role"]) != b'"developer"':
        return message
    return {**message, "role": Raw(b'"system"')}


def _without_empty_text(message: Message) -> Message | None:
    content = message.get("content")
    if content is None or not bytes(content).startswith(b"["):
        return message
    parts = msgspec.json.decode(content, type=list[Raw])
    kept = [part for part in parts if not _is_empty_text(part)]
    if kept and len(kept) == len(parts):
        return message
    if kept:
        return {**message, "content": Raw(msgspec.json.encode(kept))}
    if "tool_calls" in message:
        return {key: value for key, value in message.items() if key != "content"}
    if "tool_call_id" in message:  # a tool that had nothing to say still answers its call
        return {**message, "content": Raw(b'""')}
    return None


def _is_empty_text(part: Raw) -> bool:
    read = msgspec.json.decode(part)
    return isinstance(read, dict) and read.get("type") == "text" and read.get("text") == ""


# The choice of tools.


def _tool_choice(rule: ToolChoice, members: Mapping[str, Value], thinking: bool, model: str) -> Iterable[Change]:
    choice, tools = members.get("tool_choice"), members.get("tools")
    if not isinstance(choice, Raw) or (rule.only_thinking and not thinking):
        return
    read = msgspec.json.decode(choice)
    if read == "required" and rule.required != "required":
        yield {"tool_choice": _raw(rule.required)}, f"tool_choice required sent as {rule.required}: {model} thinks"
    elif isinstance(tools, Raw) and (name := _named(read)):
        only = [tool for tool in msgspec.json.decode(tools, type=list[Raw]) if _tool_name(tool) == name]
        if only:  # else the name is wrong, and the upstream says so better
            change: dict[str, Value] = {"tool_choice": _raw(rule.named), "tools": Raw(msgspec.json.encode(only))}
            yield change, f"tool_choice {name} sent as {rule.named} with no other tool: {model} refuses a named one"


def _named(choice: object) -> str:
    if not isinstance(choice, dict) or not isinstance(choice.get("function"), dict):
        return ""
    name = choice["function"].get("name")
    return name if isinstance(name, str) else ""


def _tool_name(tool: Raw) -> object:
    function = _member(tool, "function")
    return function.get("name") if isinstance(function, dict) else None


def _raw(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))


def sampling(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rows every Kimi chat model of 2026 shares, before its own."""
    return (
        Pinned("temperature", 1, unthinking=0.6),
        Pinned("top_p", 0.95),
        Pinned("presence_penalty", 0),
        Pinned("frequency_penalty", 0),
        SystemRole(),
        NoEmptyText(),
        *rules,
    )
