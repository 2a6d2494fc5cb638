"""What an endpoint accepts of a request, as rows; and how a request is made to fit them.

Common clients send what Kimi answers with 400: other temperatures than the pinned one, the `developer` role, a tool
forced while the model thinks, empty text parts. Each row says what is done about it, and every change is announced.
Rows speak of the wire: they apply to the body as it is about to leave, whatever dialect it was asked in.
"""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias, assert_never

import msgspec
from msgspec import Raw, Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.request import Params
from moongate.wire.patch import GONE, Gone, fields, members, patch


class Pinned(Struct, frozen=True):
    """One value is accepted; others are dropped, so that the endpoint uses its own. `unthinking`: with thinking off."""

    field: str
    value: float
    unthinking: float | None = None


class SystemRole(Struct, frozen=True):
    """`developer`, which OpenAI's newer clients send, is spelled `system`."""


class NoEmptyText(Struct, frozen=True):
    """Empty text parts are taken out, and messages that were nothing else; so are empty lists beside other things."""


class NamedTool(Struct, frozen=True):
    """A function cannot be named; `required` with no other tool on offer comes to the same."""


class FreeChoice(Struct, frozen=True):
    """While the model thinks no tool can be forced. Where it may stop thinking, and nobody asked it to think, it stops;
    else the choice becomes its own, of the named tool alone if one was named."""

    may_stop_thinking: bool = False


Rule: TypeAlias = Pinned | SystemRole | NoEmptyText | NamedTool | FreeChoice
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
Members: TypeAlias = Mapping[str, Value]
Change: TypeAlias = tuple[dict[str, Value], str]
"""Top-level members and their new values, and the note that announces it."""


class Ask(Struct, frozen=True):
    """What a rule looks at: the request's members as they stand by now, and what is known of the model."""

    members: Members
    model: str
    is_thinking: bool


def fit(contracts: Iterable[Contract], model: str, body: bytes, mode: Params) -> Fitted:
    """`body` as `model` accepts it. Raises GatewayError (INVALID_REQUEST) in mode `strict` where a change is needed."""
    contract = next((row for row in contracts if any(fnmatchcase(model, name) for name in row.models)), None)
    if contract is None or mode == "pass":
        return Fitted(body)
    before: Members = fields(body)
    changes: dict[str, Value] = {}
    notes: list[str] = []
    for rule in contract.rules:
        asked = {**before, **changes}
        is_thinking = contract.thinks == "always" or _thinking(asked) != "disabled"
        for change, note in _apply(rule, Ask(asked, model, is_thinking)):
            if mode == "strict":
                message = f"x-moongate-params: strict, and this would have to be made to fit: {note}"
                raise GatewayError(Kind.INVALID_REQUEST, message, param=next(iter(change)))
            changes |= change
            notes.append(note)
    return Fitted(patch(body, changes), tuple(notes))


def _apply(rule: Rule, ask: Ask) -> Iterable[Change]:
    match rule:
        case Pinned():
            return _pinned(rule, ask)
        case SystemRole():
            return _messages(ask, (b'"developer"',), _as_system, "role developer sent as system")
        case NoEmptyText():
            return _messages(ask, EMPTY, _without_empty_text, "empty text parts left out")
        case NamedTool():
            return _named_tool(ask)
        case FreeChoice():
            return _free_choice(rule, ask)
        case _:
            assert_never(rule)


UNREADABLE = object()
"""Stands for what is JSON and yet no value here, such as 1e400. It is nobody's pinned value and nobody's object."""


def _read(value: Value | None) -> object:
    if not isinstance(value, Raw):
        return None
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return UNREADABLE


def _list(value: Value | None) -> list[Raw]:
    """The items of a list, none of what is no list: its shape is for the upstream to refuse."""
    try:
        return msgspec.json.decode(value, type=list[Raw]) if isinstance(value, Raw) else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


# Parameters that take one value only.


def _pinned(rule: Pinned, ask: Ask) -> Iterable[Change]:
    sent = _read(ask.members.get(rule.field))
    only = rule.value if ask.is_thinking or rule.unthinking is None else rule.unthinking
    if sent is not None and sent != only:
        yield {rule.field: GONE}, f"{rule.field} left out: {ask.model} takes only {only:g}"


def _thinking(asked: Members) -> object:
    """What was said of thinking, None if nothing was."""
    thinking = asked.get("thinking")
    mode = members(thinking) if isinstance(thinking, Raw) else None
    return _read(mode.get("type")) if mode else None


# Messages. Those that need no change keep their bytes.

Message: TypeAlias = dict[str, Raw]
Amend: TypeAlias = Callable[[Message], Message | None]
"""A message as it should be: the same object if it may stay, None if nothing is left of it."""

EMPTY = (b'""', b"[]", b"[ ", b"[\n", b"[\r", b"[\t")


def _messages(ask: Ask, signs: Iterable[bytes], amend: Amend, note: str) -> Iterable[Change]:
    """`signs`: bytes without which no message can need the change, so that most requests are not even read."""
    sent = ask.members.get("messages")
    if not isinstance(sent, Raw):
        return
    whole = bytes(sent)
    if not any(sign in whole for sign in signs):
        return
    after = [_amended(message, amend) for message in _list(sent)]
    kept = [message for message, _ in after if message is not None]
    if kept and any(changed for _, changed in after):
        yield {"messages": Raw(msgspec.json.encode(kept))}, note


def _amended(raw: Raw, amend: Amend) -> tuple[Raw | None, bool]:
    """(the message, whether it changed); None for one of which nothing is left."""
    message = members(raw)
    if message is None:
        return raw, False
    amended = amend(message)
    if amended is message:
        return raw, False
    return (None if amended is None else Raw(msgspec.json.encode(amended))), True


def _as_system(message: Message) -> Message | None:
    if _read(message.get("role")) != "developer":
        return message
    return {**message, "role": Raw(b'"system"')}


def _without_empty_text(message: Message) -> Message | None:
    content = message.get("content")
    if content is None or not bytes(content).startswith(b"["):
        return message
    parts = _list(content)
    kept = [part for part in parts if not _is_empty_text(part)]
    if kept:
        return message if len(kept) == len(parts) else {**message, "content": Raw(msgspec.json.encode(kept))}
    if "tool_call_id" in message:  # a tool that had nothing to say still answers its call
        return {**message, "content": Raw(b'""')}
    if all(name in BARE or _read(value) in (None, [], "") for name, value in message.items()):
        return None
    return {name: value for name, value in message.items() if name != "content"}


BARE = frozenset({"role", "content", "name"})
"""Members of a message that say nothing when its content is gone."""


def _is_empty_text(part: Raw) -> bool:
    read = _read(part)
    return isinstance(read, dict) and read.get("type") == "text" and read.get("text") == ""


# The choice of tools.


NAME_SHOWN = 64
"""Characters of a caller's name in a note, so that it crowds out no other note."""


def _named_tool(ask: Ask) -> Iterable[Change]:
    name, only = _named(ask.members)
    if only:
        note = f"tool_choice {name[:NAME_SHOWN]} sent as required with no other tool: {ask.model} refuses a named one"
        yield {"tool_choice": Raw(b'"required"'), **only}, note


def _free_choice(rule: FreeChoice, ask: Ask) -> Iterable[Change]:
    name, only = _named(ask.members)
    is_forced = bool(only) or _read(ask.members.get("tool_choice")) == "required"
    if not ask.is_thinking or not is_forced:
        return
    choice = name[:NAME_SHOWN] or "required"
    if rule.may_stop_thinking and _thinking(ask.members) is None:
        note = f"thinking switched off: {ask.model} takes tool_choice {choice} only without"
        yield {"thinking": Raw(b'{"type":"disabled"}')}, note
    else:
        alone = " with no other tool" if only else ""
        note = f"tool_choice {choice} sent as auto{alone}: {ask.model} thinks, and cannot be forced then"
        yield {"tool_choice": Raw(b'"auto"'), **only}, note


def _named(asked: Members) -> tuple[str, dict[str, Value]]:
    """The function a choice names, and the list of tools without the others; empty where it names none of them, as
    the upstream says better what is wrong then."""
    choice = _read(asked.get("tool_choice"))
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    only = [tool for tool in _list(asked.get("tools")) if name and _tool_name(tool) == name]
    return (name, {"tools": Raw(msgspec.json.encode(only))}) if only and isinstance(name, str) else ("", {})


def _tool_name(tool: Raw) -> object:
    read = _read(tool)
    function = read.get("function") if isinstance(read, dict) else None
    return function.get("name") if isinstance(function, dict) else None
