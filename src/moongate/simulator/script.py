"""A script: how one request is to be answered, as a frozen value that also travels as JSON."""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from moongate.simulator.catalogue import CATALOGUE
from moongate.simulator.refusals import Refusal
from moongate.simulator.values import JsonObject, content_text, dumps, loads

Seconds = Annotated[float, Meta(ge=0, le=86400)]
Count = Annotated[int, Meta(ge=0)]
Size = Annotated[int, Meta(ge=1)]
Tool = tuple[str, str]
On = Literal["chat", "models", "balance", "usages", "me"]

IdStyle = Literal["name_n", "name:n", "functions.name:n", "call_…"]


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one request is answered; `Script()` is the default answer without faults.

    What is said: as soon as one of `reasoning`, `text` and `tools` is given, exactly what is given is said, whether
    or not the model was asked to think; otherwise the default speech is. `tools` are pairs of a name and the
    arguments as JSON text. All sizes are at least 1, counts and seconds at least 0.

    Faults counted in chunks count the JSON chunks of a stream, a broken one included, but neither comments nor
    `[DONE]`; a whole reply is counted in pieces of 64 bytes. A count beyond the end of the answer has no effect, a
    count equal to its length acts after the last chunk and before `[DONE]`.
    """

    # Which request it answers: a chat completion, or what is told of the models and of the account.
    on: On = "chat"

    reasoning: str | None = None
    text: str | None = None
    tools: tuple[Tool, ...] | None = None
    finish_reason: str | None = None  # None: tool_calls if there are tools, else stop
    choices: Size | None = None  # None: what `n` asks for
    usage: JsonObject | None = None  # written instead of the computed object, wherever usage stands
    piece: Size = 12  # characters a delta
    id_style: IdStyle = "name_n"
    system_fingerprint: bool = True
    closing_reasoning: bool = True  # the empty reasoning delta after the last one
    usage_in_choice: bool = True
    trailing_usage: bool = True  # the extra chunk that stream_options.include_usage asks for
    extra: JsonObject = {}  # unknown members of the reply, or of each chunk

    # A row of the catalogue or an answer of one's own. Together with `error_after` it is the error told in-band.
    refuse: str | Refusal | None = None

    answer_as: Literal["asked", "stream", "whole"] = "asked"
    drop_before_headers: bool = False  # the connection closes without any answer
    silent_before_headers: Seconds = 0.0
    silent_before_first_chunk: Seconds = 0.0
    pause: Seconds = 0.0  # between chunks
    stall_after: Count | None = None  # then silence until the client goes
    cut_after: Count | None = None  # then the connection is aborted in the middle of the HTTP body
    close_after: Count | None = None  # then the HTTP body ends cleanly, without finish chunk and [DONE]
    malformed_after: Count | None = None  # then a chunk of broken JSON; a stream goes on, a whole reply ends with it
    error_after: Count | None = None  # then an in-band error, and the body ends
    omit_done: bool = False
    split: Size | None = None  # at most this many bytes a TCP write, HTTP framing included
    comments: bool = False  # an SSE comment line before every chunk
    crlf: bool = False  # SSE lines end in CRLF instead of LF
    hold_open_after_done: Seconds = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.refuse, str) and self.refuse not in CATALOGUE:
            raise ValueError(f"refuse: no such row {self.refuse!r}; there are {', '.join(CATALOGUE)}")

    def refusal(self) -> Refusal | None:
        return CATALOGUE[self.refuse] if isinstance(self.refuse, str) else self.refuse


DEFAULT: Final = Script()
DIRECTIVE: Final = "simulate:"


class BadScriptError(ValueError):
    """A script that cannot be read; its text says what is wrong with it."""


def read(value: object) -> Script:
    """A script from plain JSON values. Raises BadScriptError."""
    try:
        return msgspec.convert(value, Script)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadScriptError(str(error)) from None


def write(script: Script) -> JsonObject:
    """The plain JSON values that `read` takes; members at their defaults are left out."""
    fields = zip(
        Script.__struct_fields__, msgspec.structs.astuple(script), msgspec.structs.astuple(DEFAULT), strict=True
    )
    return {name: msgspec.to_builtins(value) for name, value, default in fields if value != default}


def encode(script: Script) -> bytes:
    return dumps(write(script))


def decode(data: bytes | str) -> Script:
    """Raises BadScriptError, also when the data are not JSON."""
    try:
        value = loads(data)
    except ValueError as error:
        raise BadScriptError(f"not JSON: {error}") from None
    return read(value)


def directive(messages: list[JsonObject]) -> Script | None:
    """The script that the last user message asks for in a line `simulate: {...}`. Raises BadScriptError.

    A message whose tool calls have already been answered asks for nothing more: an agent would go round for ever.
    """
    for message in reversed(messages):
        match message.get("role"):
            case "tool":
                return None
            case "user":
                return _in_text(content_text(message.get("content")))
    return None


def _in_text(text: str) -> Script | None:
    for line in text.split("\n"):
        if line.lstrip().startswith(DIRECTIVE):
            return decode(line.lstrip().removeprefix(DIRECTIVE))
    return None
