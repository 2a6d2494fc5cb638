"""What the upstreams refuse, as rules over a request: pure, first hit wins, and every hit is a 400.

Texts without a comment are the recorded ones (wire, 2026-09); where only the fact of a refusal is known, the text
is ours and begins with `Invalid request:`, as the documented template does.
"""

from collections.abc import Callable
from typing import Final

from moongate.simulator import tokens
from moongate.simulator.asked import Asked, media_url, tool_name
from moongate.simulator.models import Product, find
from moongate.simulator.refusals import Refusal, invalid_request, model_not_found, refusal
from moongate.simulator.values import JsonObject, as_objects, as_text, dumps

Rule = Callable[[Asked], str | None]

_ROLES: Final = frozenset(("system", "user", "assistant", "tool"))
_OUTPUT_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_CODE_MESSAGE_BYTES: Final = 2097152


def police(body: object, product: Product, *, strict_reasoning: bool = False) -> Asked | Refusal:
    """The request as asked, or why it is refused. `strict_reasoning` is the behaviour of 2025: see `_reasoning`."""
    if not isinstance(body, dict):
        return invalid_request("Invalid request: the body must be a JSON object")
    name = body.get("model")
    if not isinstance(name, str) or not name:
        return invalid_request("Invalid request: model is required")
    model = find(product, name)
    if model is None:
        return _unknown_model(product, name)
    asked = Asked(product, model, body)
    rules = (*_RULES, _reasoning) if strict_reasoning else _RULES
    message = next((message for rule in rules if (message := rule(asked))), None)
    return asked if message is None else invalid_request(message)


def _unknown_model(product: Product, name: str) -> Refusal:
    plain = name.removesuffix("[1m]")
    if product is Product.KIMI_CODE and plain != name and find(product, plain):
        # Recorded without a type.
        text = f"Your model id does not exist, recognized as other:{name}. Please set model id as {plain}."
        return refusal(401, None, text)
    return model_not_found(name)


def _messages(asked: Asked) -> str | None:
    messages = asked.body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(item, dict) for item in messages):
        return "Invalid request: messages must be a list of at least one object"
    return None


def _roles(asked: Asked) -> str | None:
    # `developer` among them: the documented roles are these four.
    roles = (as_text(message.get("role")) for message in asked.messages)
    return next((f"Invalid request: unsupported role {role!r}" for role in roles if role not in _ROLES), None)


def _contents(asked: Asked) -> str | None:
    contents = (message.get("content") for message in asked.messages)
    if all(content is None or isinstance(content, str | list) for content in contents):
        return None
    return "Invalid request: message content must be a string or a list of parts"


def _empty_text(asked: Asked) -> str | None:
    empty_part = any(part.get("type") == "text" and not part.get("text") for part in asked.parts)
    empty_list = any(item.get("role") == "assistant" and item.get("content") == [] for item in asked.messages)
    return "text content is empty" if empty_part or empty_list else None


def _media(asked: Asked) -> str | None:
    """Only data URLs and uploaded files are taken; nothing is fetched. The recorded text breaks off after `url`."""
    for part in asked.parts:
        kind = as_text(part.get("type"))
        if kind in ("image_url", "video_url"):
            url = media_url(part, kind)
            if not url.startswith(("data:", "ms://")):
                return f"unsupported {kind.removesuffix('_url')} url: {url[:200]}"
    return None


def _thinking(asked: Asked) -> str | None:
    thinking = asked.body.get("thinking")
    if thinking is None:
        return None
    # Whether a boolean, which old proxies sent, is still accepted is unknown: here it is not.
    mode = thinking.get("type") if isinstance(thinking, dict) else thinking
    if not asked.model.may_not_think and mode != "enabled":
        return "invalid thinking: only type=enabled is allowed for this model"
    if mode not in ("enabled", "disabled"):
        return "Invalid request: thinking.type must be enabled or disabled"
    return None


def _pinned(asked: Asked) -> str | None:
    """Other values of the sampling parameters are refused by all kimi models; null counts as absent."""
    model = asked.model
    pins = {
        "temperature": model.temperature_thinking if asked.thinking else model.temperature_plain,
        "top_p": 0.95,
        "n": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0,
    }
    for name, pin in pins.items():
        value = asked.body.get(name)
        if value is not None and (isinstance(value, bool) or value != pin):
            return f"invalid {name}: only {pin:g} is allowed for this model"
    return None


def _tool_names(asked: Asked) -> str | None:
    seen: set[str] = set()
    for tool in asked.tools:
        name = tool_name(tool)
        if not name:
            return "Invalid request: a tool must have a function with a name"
        if name.startswith("$") and tool.get("type") != "builtin_function":
            return f"Invalid request: function name {name} is invalid"
        if name in seen:
            return f"function name {name} is duplicated"
        seen.add(name)
    return None


def _tool_choice(asked: Asked) -> str | None:
    choice = asked.tool_choice
    model = asked.model
    refused: frozenset[str] = model.refused_thinking if asked.thinking else model.refused_plain
    return f"tool_choice '{choice}' is incompatible with thinking enabled" if choice in refused else None


def _tool_answers(asked: Asked) -> str | None:
    """Every tool call is answered directly after it. The classifiers of official clients match these words."""
    pending: dict[str, None] = {}
    for message in asked.messages:
        if message.get("role") == "tool":
            call_id = as_text(message.get("tool_call_id"))
            if call_id not in pending:
                return f"Invalid request: tool_call_id {call_id} not found"
            del pending[call_id]
            continue
        if pending:
            break
        pending = dict.fromkeys(as_text(call.get("id")) for call in as_objects(message.get("tool_calls")))
    if pending:
        return (
            "Invalid request: an assistant message with 'tool_calls' must be followed by tool messages responding to "
            f"each 'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(pending)}"
        )
    return None


def _size(asked: Asked) -> str | None:
    if asked.product is Product.KIMI_CODE:
        size = len(dumps(asked.body.get("messages")))
        if size > _CODE_MESSAGE_BYTES:
            return f"total message size {size} exceeds limit {_CODE_MESSAGE_BYTES}"
    limit = asked.model.context_length
    if tokens.prompt_tokens(asked) + _output_limit(asked.body) > limit:
        prefix = "Invalid request: " if asked.product is Product.KIMI_CODE else ""
        return f"{prefix}Your request exceeded model token limit: {limit}"
    return None


def _output_limit(body: JsonObject) -> int:
    given = (body.get(name) for name in _OUTPUT_LIMITS)
    return next((value for value in given if isinstance(value, int)), 0)


def _reasoning(asked: Asked) -> str | None:
    """The refusal of the K2.5 period, not seen with K3 in 2026-09; an empty string counts as present."""
    if not asked.thinking:
        return None
    for index, message in enumerate(asked.messages):
        if message.get("tool_calls") and message.get("reasoning_content") is None:
            return (
                f"thinking is enabled but reasoning_content is missing in assistant tool call message at index {index}"
            )
    return None


_RULES: Final[tuple[Rule, ...]] = (
    _messages,
    _roles,
    _contents,
    _empty_text,
    _media,
    _thinking,
    _pinned,
    _tool_names,
    _tool_choice,
    _tool_answers,
    _size,
)
