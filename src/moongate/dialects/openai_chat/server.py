"""OpenAI chat completions, spoken to a client: reads requests, tells replies and errors."""

import re
from collections.abc import Sequence
from typing import assert_never

import msgspec
from msgspec import Raw, structs

from moongate.core.errors import GatewayError, Kind
from moongate.core.events import (
    Anchored,
    BlockDelta,
    BlockEnded,
    BlockStarted,
    Cited,
    Ended,
    Event,
    FinishReason,
    Packet,
    Started,
    Usage,
)
from moongate.core.prompt import Message, Prompt
from moongate.core.reply import Reply
from moongate.core.request import ChatRequest, Origin, Params, RequestHead
from moongate.dialects.openai_chat import prompt
from moongate.dialects.openai_chat.schema import (
    DIALECT,
    Annotation,
    CompletionDetails,
    FunctionDelta,
    PromptDetails,
    Request,
    Speech,
    ToolCallDelta,
    Turns,
    UrlCitation,
    WireUsage,
)
from moongate.wire.patch import patch, repeated_key
from moongate.wire.sse import encode_sse

REASONS: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "filtered": "content_filter",
}

ERRORS: dict[Kind, tuple[str, str | None]] = {
    Kind.INVALID_REQUEST: ("invalid_request_error", None),
    Kind.UNAUTHENTICATED: ("authentication_error", "invalid_api_key"),
    Kind.FORBIDDEN: ("permission_error", None),
    Kind.UNKNOWN_MODEL: ("invalid_request_error", "model_not_found"),
    Kind.UNKNOWN_PATH: ("invalid_request_error", "unknown_url"),
    Kind.UNKNOWN_CONVERSATION: ("invalid_request_error", "conversation_not_found"),
    Kind.CONVERSATION_BUSY: ("invalid_request_error", "conversation_locked"),
    Kind.WRONG_METHOD: ("invalid_request_error", "method_not_allowed"),
    Kind.TOO_SLOW: ("invalid_request_error", "request_too_slow"),
    Kind.TOO_LARGE: ("invalid_request_error", "request_too_large"),
    Kind.HEADERS_TOO_LARGE: ("invalid_request_error", "headers_too_large"),
    Kind.NO_ACCOUNT: ("gateway_error", "no_account"),
    Kind.OUT_OF_TIME: ("gateway_error", "out_of_time"),
    Kind.HISTORY_AWAY: ("gateway_error", "history_away"),
    Kind.INTERNAL: ("gateway_error", "internal_error"),
    Kind.MISDIRECTED: ("gateway_error", "misdirected"),
    Kind.REQUEST_REFUSED: ("invalid_request_error", None),
    Kind.CONTENT_REFUSED: ("content_filter", "content_filter"),
    Kind.CONTEXT_EXCEEDED: ("invalid_request_error", "context_length_exceeded"),
    Kind.CHAT_GONE: ("upstream_error", "chat_gone"),
    Kind.MODEL_NOT_SERVED: ("invalid_request_error", "model_not_found"),
    Kind.CREDENTIAL_REFUSED: ("upstream_error", "credential_refused"),
    Kind.LOGIN_EXPIRED: ("upstream_error", "login_expired"),
    Kind.ACCOUNT_BARRED: ("upstream_error", "account_barred"),
    Kind.CLIENT_BARRED: ("upstream_error", "client_barred"),
    Kind.MODEL_NOT_IN_PLAN: ("upstream_error", "model_not_in_plan"),
    Kind.QUOTA_EXHAUSTED: ("insufficient_quota", "insufficient_quota"),
    Kind.BALANCE_EXHAUSTED: ("insufficient_quota", "insufficient_quota"),
    Kind.RATE_LIMITED: ("rate_limit_error", "rate_limit_exceeded"),
    Kind.OVERLOADED: ("upstream_error", "overloaded"),
    Kind.FAILED: ("upstream_error", "upstream_failed"),
    Kind.CHALLENGED: ("upstream_error", "challenged"),
    Kind.PROTOCOL: ("upstream_error", "malformed_reply"),
    Kind.TRUNCATED: ("upstream_error", "truncated_reply"),
    Kind.UNREACHABLE: ("proxy_error", "unreachable"),
    Kind.TIMED_OUT: ("upstream_error", "timed_out"),
}
"""Kind → (`type`, `code`) of the error body. Where the upstream's own `type` is handed back, it takes the place."""

PARAMS: dict[str, Params] = {"adapt": "adapt", "strict": "strict", "pass": "pass"}

_turns = msgspec.json.Decoder(Turns).decode
_request = msgspec.json.Decoder(Request).decode
_json = msgspec.json.Encoder().encode
_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<where>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"required field `(\w+)`")


class OpenAIChat:
    dialect = DIALECT

    def decode(self, body: bytes, head: RequestHead) -> ChatRequest:
        request = _decode(body)
        options = request.stream_options
        return ChatRequest(
            id=head.request_id,
            received=head.received,
            model=request.model,
            stream=bool(request.stream),
            include_usage=bool(options and options.include_usage),
            choices=request.n or 1,
            session=request.prompt_cache_key or "",
            user=request.user or "",
            params=_params(head),
            origin=Origin(DIALECT, body),
        )

    def turns(self, ask: ChatRequest) -> Sequence[bytes]:
        try:
            return [bytes(message) for message in _turns(ask.origin.body).messages]
        except RecursionError as error:  # how deep a body may be depends on how deep we stand; here it was too deep
            raise _too_deep() from error

    def with_turns(self, ask: ChatRequest, turns: Sequence[bytes]) -> ChatRequest:
        try:
            body = patch(ask.origin.body, {"messages": [Raw(turn) for turn in turns]})
        except RecursionError as error:
            raise _too_deep() from error
        return structs.replace(ask, origin=Origin(DIALECT, body))

    def turn_of(self, reply: Reply) -> bytes:
        said = message_of(reply)
        said.pop("annotations", None)  # told, and not taken
        return _json(said)

    def read(self, turn: bytes) -> Message:
        return prompt.message_of(turn)

    def prompt(self, ask: ChatRequest) -> Prompt:
        return prompt.prompt_of(ask)

    def encoder(self, ask: ChatRequest) -> "ReplyEncoder":
        return ReplyEncoder(ask)

    def refuse(self, error: GatewayError) -> bytes:
        usual, code = ERRORS[error.kind]
        return _json(
            {"error": {"message": error.message, "type": error.type or usual, "param": error.param, "code": code}}
        )

    def fail(self, error: GatewayError) -> bytes:
        return encode_sse(self.refuse(error))


def _decode(body: bytes) -> Request:
    if not body.strip():
        raise GatewayError(Kind.INVALID_REQUEST, "the body is not valid JSON: it is empty")
    try:
        request = _request(body)
        if not body.isascii():
            body.decode()  # what is not read above must be text all the same
        repeated = repeated_key(body)
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        where = f" (byte {len(body)})" if "truncated" in str(error) else ""
        raise GatewayError(Kind.INVALID_REQUEST, f"the body is not valid JSON: {error}{where}") from error
    except RecursionError as error:
        raise _too_deep() from error
    if repeated is not None:
        message = f"the body names {repeated[:60]!r} twice, and which one counts is unclear"
        raise GatewayError(Kind.INVALID_REQUEST, message, param=repeated)
    return request


def _too_deep() -> GatewayError:
    return GatewayError(Kind.INVALID_REQUEST, "the body is nested too deeply")


def _wrong_field(text: str) -> GatewayError:
    """msgspec says "Expected `str`, got `int` - at `$.messages[0].role`"; people look for the field first."""
    found = _AT.match(text)
    what, where = (found["what"], found["where"] or "") if found else (text, "")
    if missing := _MISSING.search(what):
        where = f"{where}.{missing[1]}".removeprefix(".")
        return GatewayError(Kind.INVALID_REQUEST, f"{where}: this field is required", param=where)
    what = what[:1].lower() + what[1:]
    return GatewayError(Kind.INVALID_REQUEST, f"{where}: {what}" if where else f"the body: {what}", param=where or None)


def _params(head: RequestHead) -> Params:
    said = head.headers.get("x-moongate-params", "adapt").strip().lower()
    if said not in PARAMS:
        raise GatewayError(
            Kind.INVALID_REQUEST,
            f"x-moongate-params: {said[:60]!r} is none of {', '.join(PARAMS)}",
            param="x-moongate-params",
        )
    return PARAMS[said]


class ReplyEncoder:
    """Tells one reply. Ids, times and names are the upstream's where it gave any, else the request's own."""

    terminator = b"data: [DONE]\n\n"

    def __init__(self, ask: ChatRequest) -> None:
        self._ask = ask
        self._head = self._name("", "", 0)
        self._calls = -1

    def encode(self, packet: Packet) -> bytes:
        return b"".join(map(self._event, packet.events))

    def fail(self, error: GatewayError) -> bytes:
        return OpenAIChat().fail(error)

    def whole(self, reply: Reply) -> bytes:
        choice = {"index": 0, "message": message_of(reply), "finish_reason": REASONS[reply.reason]}
        body = {
            **self._name(reply.id, reply.model, reply.created),
            "object": "chat.completion",
            "choices": [choice],
        }
        if reply.usage:
            body["usage"] = wire_usage(reply.usage)
        return _json(body)

    def _name(self, id: str, model: str, created: int) -> dict[str, object]:
        ask = self._ask
        return {
            "id": id or f"chatcmpl-{ask.id}",
            "object": "chat.completion.chunk",
            "created": created or int(ask.received),
            "model": model or ask.model,
        }

    def _event(self, event: Event) -> bytes:
        match event:
            case BlockDelta(kind="text", text=text):
                return self._chunk(Speech(content=text))
            case BlockDelta(kind="thinking", text=text):
                return self._chunk(Speech(reasoning_content=text))
            case BlockDelta(text=text):
                return self._call(ToolCallDelta(self._calls, function=FunctionDelta(arguments=text)))
            case BlockStarted(kind="tool_call", tool_id=id, tool_name=name):
                self._calls += 1
                return self._call(ToolCallDelta(self._calls, id, "function", FunctionDelta(name, "")))
            case BlockStarted() | BlockEnded() | Anchored():
                return b""
            case Cited():
                return self._chunk(Speech(annotations=[annotation(event)]))
            case Started(id, model, created):
                self._head = self._name(id, model, created)
                return self._chunk(Speech(role="assistant", content=""))
            case Ended(reason, usage):
                return self._chunk(Speech(), REASONS[reason]) + self._told_usage(usage) + self.terminator
            case _:
                assert_never(event)

    def _call(self, call: ToolCallDelta) -> bytes:
        return self._chunk(Speech(tool_calls=[call]))

    def _chunk(self, delta: Speech, reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return encode_sse(_json({**self._head, "choices": [choice]}))

    def _told_usage(self, usage: Usage | None) -> bytes:
        if not usage or not self._ask.include_usage:
            return b""
        return encode_sse(_json({**self._head, "choices": [], "usage": wire_usage(usage)}))


def message_of(reply: Reply) -> dict[str, object]:
    """The reply as a message, as it is told whole and as it is sent back in a later request."""
    texts: dict[str, str] = {}
    calls: list[object] = []
    for block in reply.blocks:
        if block.kind == "tool_call":
            function = {"name": block.tool_name, "arguments": block.text}
            calls.append({"id": block.tool_id, "type": "function", "function": function})
        else:
            texts[block.kind] = texts.get(block.kind, "") + block.text
    message: dict[str, object] = {"role": "assistant", "content": texts.get("text") if calls else texts.get("text", "")}
    if "thinking" in texts:
        message["reasoning_content"] = texts["thinking"]
    if calls:
        message["tool_calls"] = calls
    if reply.citations:
        message["annotations"] = [annotation(cited) for cited in reply.citations]
    return message


def annotation(cited: Cited) -> Annotation:
    return Annotation("url_citation", UrlCitation(cited.start, cited.end, cited.title, cited.url))


def wire_usage(usage: Usage) -> WireUsage:
    """OpenAI's shape, without Moonshot's extra places; details only where there is something to tell."""
    return WireUsage(
        prompt_tokens=usage.input,
        completion_tokens=usage.output,
        total_tokens=usage.input + usage.output,
        prompt_tokens_details=PromptDetails(usage.cached) if usage.cached else None,
        completion_tokens_details=CompletionDetails(usage.thinking) if usage.thinking else None,
    )
