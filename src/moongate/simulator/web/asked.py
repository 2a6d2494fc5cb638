"""What a turn of a web chat asks for, read from the requests of both generations. Pure."""

from typing import Final

import msgspec

from moongate.simulator.values import JsonObject, as_object, as_objects, as_text
from moongate.simulator.web.refusals import WebRefusal, because

_THINKING_MODELS: Final = frozenset(("k1", "k1.5"))


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """`chat` None: a new one. `parent` "": the newest message. `message` names one that is edited or asked again.

    `options` are the plain values that the chat repeats as its last request; `action` is `continue` or nothing.
    """

    text: str
    files: tuple[str, ...] = ()
    chat: str | None = None
    parent: str = ""
    message: str = ""
    model: str = ""
    scenario: str = ""
    kimiplus: str = ""
    agent_mode: str = ""
    system_prompt: str = ""
    effort: str = ""
    thinking: bool = False
    search: bool = False
    action: str = ""
    segment: str = ""
    options: JsonObject = {}


def member(value: JsonObject, name: str) -> object:
    """By its name in snake_case or, as proto3 JSON also has it, in camelCase."""
    if name in value:
        return value[name]
    return value.get(_renamed(name))


def text_of(value: JsonObject, name: str) -> str:
    return as_text(member(value, name))


def read_connect(body: object, *, strict_chat_id: bool) -> Asked | WebRefusal:
    """The payload of the one envelope of a Chat request."""
    asked = as_object(body)
    message = as_object(asked.get("message"))
    blocks = as_objects(message.get("blocks"))
    if not blocks:
        return because("invalid_argument", "message.blocks is required")
    if message.get("role") != "user":
        return because("invalid_argument", "message.role must be user")
    chat = member(asked, "chat_id")
    if chat == "" and strict_chat_id:
        return because("invalid_argument", "chat_id must not be empty")
    options = as_object(asked.get("options"))
    model, effort = as_text(options.get("model")), text_of(options, "reasoning_effort")
    if model.startswith("k3") and effort == "REASONING_EFFORT_NONE":
        return because("invalid_argument", "reasoning_effort NONE is not supported by this model")
    scenario = as_text(asked.get("scenario"))
    return Asked(
        text="".join(as_text(as_object(block.get("text")).get("content")) for block in blocks),
        files=tuple(as_text(as_object(block["file"]).get("id")) for block in blocks if "file" in block),
        chat=as_text(chat) or None,
        parent=text_of(message, "parent_id"),
        message=as_text(message.get("id")),
        model=model,
        scenario=scenario,
        kimiplus=text_of(asked, "kimiplus_id"),
        agent_mode=text_of(asked, "agent_mode"),
        system_prompt=text_of(options, "system_prompt"),
        effort=effort,
        thinking=_thinks(options.get("thinking"), effort),
        search=any(tool.get("type") == "TOOL_TYPE_SEARCH" for tool in as_objects(asked.get("tools"))),
        options={"scenario": scenario, "options": _camel(options), "tools": as_objects(asked.get("tools"))},
    )


def read_rest(body: object, chat: str) -> Asked | WebRefusal:
    """The body of a completion request, of whose messages only the first counts."""
    asked = as_object(body)
    messages = as_objects(asked.get("messages"))
    if not messages:
        return because("invalid_argument", "messages is required")
    refs = asked.get("refs")
    model = as_text(asked.get("model"))
    return Asked(
        text=as_text(messages[0].get("content")),
        files=tuple(as_text(ref) for ref in refs) if isinstance(refs, list) else (),
        chat=chat,
        model=model,
        kimiplus=text_of(asked, "kimiplus_id"),
        thinking=model in _THINKING_MODELS,
        search=asked.get("use_search") is True,
        action=as_text(asked.get("action")),
        segment=as_text(asked.get("segment_id")),
    )


def _thinks(switch: object, effort: str) -> bool:
    """Until 2026-07 the switch decided; since then it is always on, and the effort does."""
    wanted = effort not in ("", "REASONING_EFFORT_NONE")
    return wanted if switch is None else switch is True and (wanted or not effort)


def _camel(options: JsonObject) -> JsonObject:
    """As they are told again."""
    return {_renamed(name): value for name, value in options.items()}


def _renamed(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
