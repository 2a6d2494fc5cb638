"""OpenAI chat completions read for what they say, for upstreams that speak another language."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Raw, Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.prompt import Call, Choice, Media, MediaKind, Message, Output, Part, Prompt, Role, Tool, Words
from moongate.core.request import ChatRequest
from moongate.wire.patch import fields

ROLES: Final[Mapping[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}

MEDIA: Final[Mapping[str, MediaKind]] = {
    "image_url": "image",
    "video_url": "video",
    "input_audio": "audio",
    "file": "file",
}
"""Types of parts, whose contents stand in a member of the same name."""

READ: Final = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls"),
        *("response_format", "thinking", "reasoning_effort", "stop", "n", "user"),
        # What changes nothing of the answer.
        *("prompt_cache_key", "prompt_cache_retention", "safety_identifier", "metadata", "store", "service_tier"),
    }
)
"""Fields that are read here or need not be; of the others the name is told."""


EMPTY: Final = frozenset({b"null", b"false", b"{}", b"[]", b'""'})
USUAL: Final[Mapping[str, bytes]] = {"modalities": b'["text"]'}
"""What a field may say without asking for anything."""


class WireFunction(Struct):
    name: str = ""
    arguments: str = ""
    description: str | None = None
    parameters: Raw = Raw()


class WireCall(Struct):
    id: str | None = None
    function: WireFunction | None = None


class WireTool(Struct):
    type: str
    function: WireFunction | None = None


class WireMessage(Struct):
    role: str
    content: str | list[Raw] | None = None
    reasoning_content: str | None = None
    tool_calls: list[WireCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class WirePart(Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class WireMedium(Struct):
    """Of every kind of part; each has some of these."""

    url: str = ""
    data: str = ""
    format: str = ""
    file_data: str = ""
    file_id: str = ""
    filename: str = ""


class WireFormat(Struct):
    type: str = "text"
    json_schema: Raw = Raw()


class WireSchema(Struct):
    schema: Raw = Raw()


class WireThinking(Struct):
    type: str = ""


class WireRequest(Struct):
    messages: list[Raw]
    tools: list[WireTool] | None = None
    tool_choice: str | WireTool | None = None
    response_format: WireFormat | None = None
    thinking: WireThinking | None = None
    reasoning_effort: str | None = None
    stop: str | list[str] | None = None


_request = msgspec.json.Decoder(WireRequest).decode
_message = msgspec.json.Decoder(WireMessage).decode
_part = msgspec.json.Decoder(WirePart).decode
_medium = msgspec.json.Decoder(dict[str, Raw]).decode


def prompt_of(ask: ChatRequest) -> Prompt:
    """Raises GatewayError (INVALID_REQUEST) naming what cannot be read."""
    body = ask.origin.body
    try:
        request = _request(body)
        sent = fields(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable("the request", error) from error
    stop = request.stop or ()
    return Prompt(
        messages=tuple(message_of(raw, f"messages[{place}]") for place, raw in enumerate(request.messages)),
        tools=tuple(_tools(request.tools or ())),
        choice=_choice(request.tool_choice),
        output=_output(request.response_format),
        thinking=_thinking(request),
        stop=(stop,) if isinstance(stop, str) else tuple(word for word in stop if word),
        choices=ask.choices,
        others=tuple(name for name, value in sent.items() if name not in READ and _says_something(name, value)),
    )


def _says_something(name: str, value: Raw) -> bool:
    """Clients spell out what is usual, too."""
    return bytes(value) not in EMPTY and bytes(value) != USUAL.get(name)


def message_of(raw: bytes, where: str = "message") -> Message:
    """Raises GatewayError (INVALID_REQUEST)."""
    try:
        wire = _message(raw)
        parts = tuple(_parts(wire.content, where))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(where, error) from error
    if wire.role not in ROLES:
        raise GatewayError(Kind.INVALID_REQUEST, f"{where}.role: {wire.role[:40]!r} is no role", param=f"{where}.role")
    calls = (call for call in wire.tool_calls or () if call.function is not None)
    return Message(
        role=ROLES[wire.role],
        parts=parts,
        thinking=wire.reasoning_content or "",
        calls=tuple(
            Call(call.id or "", call.function.name, call.function.arguments) for call in calls if call.function
        ),
        answers=wire.tool_call_id or "",
        name=wire.name or "",
    )


def _parts(content: str | list[Raw] | None, where: str) -> Iterator[Part]:
    if isinstance(content, str):
        if content:
            yield Words(content)
        return
    for place, raw in enumerate(content or ()):
        part = _part(raw)
        if (text := part.text if part.text is not None else part.refusal) is not None:
            yield Words(text)
        else:
            yield _media(part.type, raw, f"{where}.content[{place}]")


def _media(type: str, raw: Raw, where: str) -> Media:
    inner = _medium(raw).get(type)
    kind = MEDIA.get(type)
    if kind is None or inner is None:
        return Media("other", data=bytes(raw), name=type)
    # OpenAI nests the URL in an object; some servers' clients write it plainly.
    is_plain = bytes(inner).startswith(b'"')
    medium = WireMedium(url=msgspec.json.decode(inner)) if is_plain else msgspec.json.decode(inner, type=WireMedium)
    if medium.file_id:
        return Media("other", data=bytes(raw), name="file_id")
    if medium.data:
        return Media(kind, _decoded(medium.data, where), f"{kind}/{medium.format}", name=medium.filename)
    address = medium.url or medium.file_data
    if not address.startswith("data:"):
        return Media(kind, url=address, name=medium.filename)
    media_type, _, data = address.removeprefix("data:").partition(",")
    return Media(kind, _decoded(data, where), media_type.partition(";")[0], name=medium.filename)


def _decoded(data: str, where: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise GatewayError(Kind.INVALID_REQUEST, f"{where}: this is not base64", param=where) from error


def _tools(tools: list[WireTool] | tuple[()]) -> Iterator[Tool]:
    for place, tool in enumerate(tools):
        if tool.function is None or not tool.function.name:
            where = f"tools[{place}]"
            message = f"{where}: a tool of type {tool.type[:40]!r} can only be used where the model has it itself"
            raise GatewayError(Kind.INVALID_REQUEST, message, param=where)
        yield Tool(tool.function.name, tool.function.description or "", tool.function.parameters)


def _choice(choice: str | WireTool | None) -> Choice:
    match choice:
        case WireTool(function=WireFunction(name=name)):
            return Choice("tool", name)
        case "none":
            return Choice("none")
        case "required":
            return Choice("required")
        case _:
            return Choice("auto")


def _output(format: WireFormat | None) -> Output:
    match format:
        case WireFormat(type="json_object"):
            return Output("json")
        case WireFormat(type="json_schema", json_schema=raw) if raw:
            schema = msgspec.json.decode(raw, type=WireSchema).schema
            return Output("schema", schema) if schema else Output("json")
        case _:
            return Output("text")


def _thinking(request: WireRequest) -> bool | None:
    """`thinking` is Moonshot's field, `reasoning_effort` OpenAI's; the former wins."""
    if request.thinking is not None and request.thinking.type:
        return request.thinking.type != "disabled"
    if request.reasoning_effort is not None:
        return request.reasoning_effort != "none"
    return None


def _unreadable(where: str, error: Exception) -> GatewayError:
    return GatewayError(Kind.INVALID_REQUEST, f"{where} cannot be read: {error}", param=where)
