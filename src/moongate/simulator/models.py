"""The models on offer, as rows: what `/models` says about each and what each one insists on. Not how it is enforced."""

from enum import StrEnum
from typing import Final, Literal

import msgspec

from moongate.simulator.values import JsonObject

ToolChoice = Literal["specified", "required"]

CODE_ROOT: Final = "/coding"
"""Where the paths of Kimi Code begin; all others are the platform's."""


class Product(StrEnum):
    """Two services with two kinds of key; each answers 401 to the other's."""

    PLATFORM = "platform"
    KIMI_CODE = "kimi_code"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model. `fields` are the members of its `/models` entry beyond the common ones."""

    id: str
    context_length: int
    may_not_think: bool = True
    temperature_thinking: float = 1.0
    temperature_plain: float = 0.6
    # Tool choices refused while the model thinks, and while it does not.
    refused_thinking: frozenset[ToolChoice] = frozenset(("required", "specified"))
    refused_plain: frozenset[ToolChoice] = frozenset()
    # Asked not to think, K2.6 answers `reasoning_content: ""` and bills one reasoning token; K3 leaves both out.
    trace_of_reasoning: bool = True
    fields: JsonObject = msgspec.field(default_factory=dict)


_ONLY_NAMED: Final[frozenset[ToolChoice]] = frozenset(("specified",))
_EFFORTS: Final[JsonObject] = {"support": True, "valid_efforts": ["low", "high", "max"], "default_effort": "max"}
_ABILITIES: Final[JsonObject] = {"supports_image_in": True, "supports_video_in": True, "supports_reasoning": True}


def _k3(name: str, context_length: int, fields: JsonObject) -> Model:
    # Named tools are refused in either mode; `required` and `thinking: disabled` are honoured (wire, 2026-09).
    return Model(
        id=name,
        context_length=context_length,
        temperature_plain=1.0,
        refused_thinking=_ONLY_NAMED,
        refused_plain=_ONLY_NAMED,
        trace_of_reasoning=False,
        fields=fields,
    )


def _k27_code(name: str) -> Model:
    return Model(id=name, context_length=262144, may_not_think=False, fields=_ABILITIES)


# In the order seen on the wire, 2026-09.
_PLATFORM: Final = (
    Model(id="kimi-k2.6", context_length=262144, fields=_ABILITIES),
    _k27_code("kimi-k2.7-code-highspeed"),
    _k3(
        "kimi-k3",
        1048576,
        {
            **_ABILITIES,
            "supports_dynamic_tools": True,
            "supports_thinking_type": "only",
            "think_efforts": _EFFORTS,
            "reasoning_efforts": _EFFORTS,
        },
    ),
    _k27_code("kimi-k2.7-code"),
)

_CODE_ABILITIES: Final[JsonObject] = {
    "supports_reasoning": True,
    "supports_image_in": True,
    "supports_video_in": True,
    "supports_tool_use": True,
    "supports_thinking_type": "both",
}


def _code_k3(name: str, display_name: str, context_length: int, *, video: bool) -> Model:
    fields = {**_CODE_ABILITIES, "supports_video_in": video, "supports_dynamic_tools": True, "think_efforts": _EFFORTS}
    return _k3(name, context_length, {"display_name": display_name, **fields})


def _code_alias(name: str, display_name: str, context_length: int) -> Model:
    fields: JsonObject = {"display_name": display_name, **_CODE_ABILITIES, "think_efforts": None}
    return Model(id=name, context_length=context_length, fields=fields)


_KIMI_CODE: Final = (
    _code_alias("kimi-for-coding", "Kimi For Coding", 1048576),
    _code_alias("kimi-for-coding-highspeed", "Kimi For Coding HighSpeed", 262144),
    _code_k3("k3", "K3", 1048576, video=True),
    _code_k3("k3-256k", "K3 256K", 262144, video=False),
)

OFFERED: Final = {
    Product.PLATFORM: {model.id: model for model in _PLATFORM},
    Product.KIMI_CODE: {model.id: model for model in _KIMI_CODE},
}

# Names that Kimi Code was seen to accept without listing them; the answer then bears another name than the request.
_LEGACY: Final = frozenset(("kimi-k2.5", "k2p5", "kimi-code", "kimi-k2"))


def find(product: Product, name: str) -> Model | None:
    if product is Product.KIMI_CODE and name in _LEGACY:
        name = "kimi-for-coding"
    return OFFERED[product].get(name)


def listing(product: Product) -> JsonObject:
    """The whole body of `GET /models`."""
    entry = _platform_entry if product is Product.PLATFORM else _code_entry
    return {"object": "list", "data": [entry(model) for model in OFFERED[product].values()]}


def _platform_entry(model: Model) -> JsonObject:
    permission = {"created": 0, "id": "", "object": "", "organization": "moonshot", "group": "moonshot"}
    return {
        "created": 1788143653,
        "id": model.id,
        "object": "model",
        "owned_by": "moonshot",
        "permission": [{**permission, "is_blocking": False}],
        "root": "",
        "parent": "",
        **model.fields,
        "context_length": model.context_length,
    }


def _code_entry(model: Model) -> JsonObject:
    # A captured entry also had `protocol: "anthropic"`; absent means the chat dialect, the one that is simulated.
    return {
        "id": model.id,
        "object": "model",
        "type": "model",
        "created": 1761264000,
        "created_at": "2025-10-24T00:00:00Z",
        **model.fields,
        "context_length": model.context_length,
    }
