"""OpenAI chat completions, spoken to an upstream: the request's bytes and the reply's decoders.

Usage stands in up to three places and all are read: Moonshot puts it into the finish chunk's choice always, and sends
a further chunk with it at the top level when asked; OpenAI does only the latter. The top level wins.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from moongate.core.errors import GatewayError, Kind
from moongate.core.events import (
    Cited,
    Closed,
    Delta,
    Finished,
    FinishReason,
    Metered,
    Opened,
    Reading,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from moongate.dialects.dialect import Decoder, Explain
from moongate.dialects.openai_chat.schema import (
    Annotation,
    Choice,
    Completion,
    CompletionDetails,
    FunctionDelta,
    PromptDetails,
    Speech,
    WireUsage,
)
from moongate.wire.http import HttpHead
from moongate.wire.numbers import whole
from moongate.wire.sse import Frame, SseDecoder

REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "filtered",
}

DONE = b"[DONE]"
SAID_OK = HttpHead(200)
WHOLE_LIMIT = 256 * 1024 * 1024
"""Bytes of a whole reply."""

EMPTY = frozenset({b"", b"null", b"{}", b'""', b"[]", b"false"})
"""Members that are there and say nothing."""

_completion = msgspec.json.Decoder(Completion, strict=False).decode
_wire_usage = msgspec.json.Decoder(WireUsage, strict=False).decode


def decoder(head: HttpHead, explain: Explain, choices: int = 1) -> Decoder:
    """Who reads this reply, by its media type; `choices` is how many answers were asked for.

    Raises GatewayError (PROTOCOL) where it is neither a stream nor JSON.
    """
    if head.media_type == "text/event-stream":
        return StreamDecoder(explain, choices)
    if head.media_type in ("application/json", "text/json", ""):
        return WholeDecoder(explain)
    raise GatewayError.protocol(f"the upstream answered with {head.media_type} instead of a completion")


class StreamDecoder:
    """A streamed reply. Deltas are told of the first choice; the others are watched for their end alone."""

    def __init__(self, explain: Explain, choices: int = 1) -> None:
        self._frames = SseDecoder()
        self._explain = explain
        self._choices = Choices(choices)

    def feed(self, data: bytes) -> Iterator[Reading]:
        for frame in self._frames.feed(data):
            yield Reading(frame.raw, self._deltas(frame))

    def end(self) -> Iterator[Reading]:
        if rest := self._frames.end():
            try:
                yield Reading(rest.raw + b"\n\n", self._deltas(rest))
            except GatewayError as error:
                # Half a frame is a cut, not a malformed one.
                raise GatewayError.truncated() if error.kind is Kind.PROTOCOL else error from error

    def _deltas(self, frame: Frame) -> tuple[Delta, ...]:
        data = (frame.data or b"").strip()
        if not data:  # a comment, or an empty event that keeps the line awake
            return ()
        if data == DONE:
            return tuple(self._choices.close())
        return tuple(self._choices.read(_read(data, self._explain)))


class WholeDecoder:
    """A reply that comes in one piece of JSON."""

    def __init__(self, explain: Explain) -> None:
        self._explain = explain
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Reading]:
        self._parts.append(data)
        self._size += len(data)
        if self._size > WHOLE_LIMIT:
            raise GatewayError.protocol(f"the upstream sent a reply of more than {WHOLE_LIMIT} bytes")
        return iter(())

    def end(self) -> Iterator[Reading]:
        body = b"".join(self._parts)
        choices = Choices()
        deltas = tuple(choices.read(_read(body, self._explain, when_cut=Kind.TRUNCATED)))
        yield Reading(body, (*deltas, *choices.close()))


def _read(data: bytes, explain: Explain, when_cut: Kind = Kind.PROTOCOL) -> Completion:
    try:
        completion = _completion(data)
    except msgspec.ValidationError as error:
        raise GatewayError.protocol(f"the upstream sent a completion of an unknown shape: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        kind = when_cut if "truncated" in str(error) else Kind.PROTOCOL
        raise GatewayError(kind, f"the upstream sent malformed JSON: {error}") from error
    if bytes(completion.error) not in EMPTY:
        raise explain(SAID_OK, data)
    return completion


class Choices:
    """Follows the choices of one reply. It has finished when as many as were `expected`, and every one that was begun,
    have given their reason; where the upstream closes the reply itself, those that were begun suffice."""

    def __init__(self, expected: int = 1) -> None:
        self._expected = expected
        self._opened = False
        self._unfinished: set[int] = set()
        self._reasons: dict[int, FinishReason] = {}
        self._usages: dict[int, Usage] = {}

    def read(self, completion: Completion) -> Iterator[Delta]:
        if not self._opened and (completion.id or completion.choices):
            self._opened = True
            yield Opened(str(completion.id or ""), completion.model or "", whole(completion.created))
        for choice in completion.choices or ():
            yield from self._choice(choice, choice.index or 0)
        if usage := _usage(completion.usage):
            yield Metered(usage)
        if completion.choices and len(self._reasons) >= self._expected:
            yield from self._finish()

    def close(self) -> Iterator[Delta]:
        """The upstream said that this was all."""
        yield from self._finish()
        yield Closed()

    def _finish(self) -> Iterator[Delta]:
        if self._reasons and not self._unfinished:
            yield Finished(self._reasons[min(self._reasons)])

    def _choice(self, choice: Choice, index: int) -> Iterator[Delta]:
        if index not in self._reasons:
            self._unfinished.add(index)
        speech = choice.delta or choice.message
        if speech and index == 0:
            yield from _speech(speech)
        if usage := _usage(choice.usage):
            self._usages[index] = usage
            yield Metered(_total(self._usages))
        if choice.finish_reason:
            self._reasons[index] = _reason(choice.finish_reason)
            self._unfinished.discard(index)


def _speech(speech: Speech) -> Iterator[Delta]:
    if speech.reasoning_content:
        yield Thinking(speech.reasoning_content)
    content = speech.content
    said = content if isinstance(content, str) else "".join(part.text or "" for part in content or ())
    if text := said or speech.refusal:
        yield Text(text)
    for place, call in enumerate(speech.tool_calls or ()):
        function = call.function or FunctionDelta()
        index = place if call.index is None else call.index
        yield ToolCall(index, function.arguments or "", call.id or "", function.name or "")
    yield from _citations(speech.annotations)


def _citations(annotations: object) -> Iterator[Cited]:
    """Of those that can be read: others' annotations are no reason to fail an answer."""
    for item in annotations if isinstance(annotations, list) else ():
        try:
            cited = msgspec.convert(item, Annotation).url_citation
        except msgspec.ValidationError:
            continue
        yield Cited(cited.url, cited.title, cited.start_index, cited.end_index)


def _reason(word: str) -> FinishReason:
    try:
        return REASONS[word]
    except KeyError:
        # Some servers name an interruption here; taking an unknown word for "stop" would call a cut answer whole.
        raise GatewayError.protocol(f"the upstream ended its reply for an unknown reason: {word[:60]!r}") from None


def _usage(raw: Raw) -> Usage | None:
    """None for what counts nothing or cannot be read: unknown is not zero, and no reason to fail an answer."""
    if bytes(raw) in EMPTY:
        return None
    try:
        usage = _wire_usage(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if usage.prompt_tokens is None and usage.completion_tokens is None:
        return None
    prompt = usage.prompt_tokens_details or PromptDetails()
    completion = usage.completion_tokens_details or CompletionDetails()
    return Usage(
        input=usage.prompt_tokens or 0,
        output=usage.completion_tokens or 0,
        cached=usage.cached_tokens or prompt.cached_tokens or 0,
        thinking=completion.reasoning_tokens or 0,
    )


def _total(usages: dict[int, Usage]) -> Usage:
    """Of several choices: the prompt was read once, each choice was written for itself."""
    return Usage(
        input=max(usage.input for usage in usages.values()),
        output=sum(usage.output for usage in usages.values()),
        cached=max(usage.cached for usage in usages.values()),
        thinking=sum(usage.thinking for usage in usages.values()),
    )


def error_of(body: bytes) -> tuple[str, str]:
    """(message, type) of an error body in any of the shapes seen; the text itself where it is none of them.

    `{"error":{"message","type","code"?}}` from both products, `{"type":"error","error":{…}}` from the Anthropic
    routes, `{"error":"url.not_found","message":…}` for unknown paths, `{"error":…,"error_description":…}` from OAuth.
    """
    try:
        found = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")[:500].strip(), ""
    inner = found.get("error")
    if isinstance(inner, dict):
        return _text(inner.get("message")), _text(inner.get("type"))
    message = found.get("error_description") or found.get("message") or inner
    return _text(message), _text(inner)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
