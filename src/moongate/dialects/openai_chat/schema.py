"""OpenAI chat completions: what is on the wire. Only what is read or written here; the rest passes as bytes.

Sources: OpenAI's API reference; Moonshot's OpenAPI file and recorded traffic of 2026-09 for `reasoning_content`,
`cached_tokens` and the usage inside a choice.
"""

from typing import Annotated

from msgspec import Meta, Raw, Struct, field

DIALECT = "openai.chat"


# Requests.


class Part(Struct):
    type: str
    text: str | None = None


class Message(Struct):
    role: str
    content: str | list[Part] | None = None


class StreamOptions(Struct):
    include_usage: bool | None = None


class Function(Struct):
    name: str


class Tool(Struct):
    type: str
    function: Function | None = None


class Request(Struct):
    """What is checked before anything is asked of an upstream; unknown fields are none of our business."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    messages: Annotated[list[Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    user: str | None = None
    prompt_cache_key: str | None = None


class Turns(Struct):
    """The messages as they came."""

    messages: list[Raw]


# Replies.


class FunctionDelta(Struct, omit_defaults=True):
    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Struct, omit_defaults=True):
    """Whole replies of OpenAI's own carry no `index`."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionDelta | None = None


class UrlCitation(Struct):
    """`start_index` and `end_index` are characters of the content."""

    start_index: int
    end_index: int
    title: str
    url: str


class Annotation(Struct):
    """As OpenAI tells what its own web search found: in a whole message, and in the deltas of a stream."""

    type: str
    url_citation: UrlCitation


class Speech(Struct, omit_defaults=True):
    """A `delta` of a stream, or the `message` of a whole reply."""

    role: str | None = None
    content: str | list[Part] | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    refusal: str | None = None
    annotations: object = None


class PromptDetails(Struct):
    cached_tokens: int | None = None


class CompletionDetails(Struct):
    reasoning_tokens: int | None = None


class WireUsage(Struct, omit_defaults=True):
    """Moonshot puts `cached_tokens` at the top as well; absent means none."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class Choice(Struct):
    index: int | None = None
    delta: Speech | None = None
    message: Speech | None = None
    finish_reason: str | None = None
    usage: Raw = field(default_factory=Raw)


class Completion(Struct):
    """A whole reply, or one chunk of a stream."""

    id: str | int | None = None
    created: float | None = None
    model: str | None = None
    choices: list[Choice] | None = None
    usage: Raw = field(default_factory=Raw)
    error: Raw = field(default_factory=Raw)
