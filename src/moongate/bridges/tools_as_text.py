"""Tools for a model that has none: described in words, asked for in one strict form, and read back from the answer."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import assert_never

import msgspec
from msgspec import Raw

from moongate.bridges.calls_in_text import CallReader, Found, Piece, closing, opening
from moongate.bridges.phrases import Phrases
from moongate.bridges.rewriting import Citations
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import (
    Anchored,
    Cited,
    Closed,
    Delta,
    Finished,
    FinishReason,
    Metered,
    Opened,
    Text,
    Thinking,
    ToolCall,
)
from moongate.core.prompt import Call, Choice, Prompt, Tool
from moongate.wire.patch import members

BROKEN_OFF: Set[FinishReason] = frozenset({"length", "filtered"})
"""Why an answer may lack what was asked for without a fault of the model's: the caller is told the reason."""


def offered(prompt: Prompt) -> tuple[Tool, ...]:
    """The tools that may be called. Raises GatewayError (INVALID_REQUEST) for a choice among tools that are not
    offered."""
    tools, choice = prompt.tools, prompt.choice
    match choice.mode:
        case "none":
            return ()
        case "auto":
            return tools
        case "required" if not tools:
            raise _wrong_choice("a tool is required, and none is offered")
        case "tool" if all(tool.name != choice.name for tool in tools):
            raise _wrong_choice("the tool it names is not among those offered")
        case "required" | "tool":
            return tools
        case _:
            assert_never(choice.mode)


def _wrong_choice(message: str) -> GatewayError:
    return GatewayError(Kind.INVALID_REQUEST, f"tool_choice: {message}", param="tool_choice")


def told(tools: Sequence[Tool], choice: Choice, words: Phrases, mark: str) -> str:
    """How the model learns of its tools: one line of JSON each."""
    lines = "\n".join(_line(tool) for tool in tools)
    text = f"{words.tools.format(mark=mark)}\n<tools-{mark}>\n{lines}\n</tools-{mark}>"
    match choice.mode:
        case "required":
            return f"{text}\n{words.required}"
        case "tool":
            return f"{text}\n{words.named.format(name=quoted(choice.name))}"
        case "auto" | "none":
            return text
        case _:
            assert_never(choice.mode)


def _line(tool: Tool) -> str:
    described: dict[str, object] = {"name": tool.name}
    if tool.description:
        described["description"] = tool.description
    if tool.schema:
        described["parameters"] = compact(tool.schema)
    return _json(described)


def compact(value: Raw) -> Raw:
    """The same JSON without space between its parts, in one line."""
    return Raw(msgspec.json.format(bytes(value), indent=-1))


def quoted(text: str) -> str:
    """As a JSON string."""
    return _json(text.encode("utf-8", "replace").decode())


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def spelled(call: Call, mark: str) -> str:
    """A call that was made, in the form in which calls are asked for. Arguments that are no object, as a caller may
    have made them up, are told as a string."""
    is_object = members(Raw(call.arguments.encode("utf-8", "replace"))) is not None
    arguments = call.arguments if is_object else quoted(call.arguments)
    return f'{opening(mark)}\n{{"name":{quoted(call.name)},"arguments":{arguments}}}\n{closing(mark)}'


def new_id() -> str:
    return f"call_{secrets.token_hex(12)}"


class Calls:
    """Turns what is a call in the text into one. Thinking is never looked at."""

    def __init__(self, mark: str, names: Set[str], new_id: Callable[[], str] = new_id) -> None:
        self._reader = CallReader(mark, names)
        self._new_id = new_id
        self._calls = 0
        self._blank: str | None = ""
        """Space after a call, or at the beginning: told if text follows it, and dropped before a call."""
        self._is_finished = False
        self._citations = Citations()

    def feed(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            match delta:
                case Text(text):
                    yield from self._told(self._reader.feed(text))
                case Finished(reason):
                    yield from self._told(self._reader.end())
                    yield from self._last_blank()
                    self._is_finished = True
                    yield Finished("tool_calls" if self._calls and reason == "stop" else reason)
                case Closed():
                    yield from self._cut_off()
                    yield delta
                case Cited():
                    self._citations.hold(delta)
                    yield from self._citations.ripe()
                case Opened() | Thinking() | ToolCall() | Anchored() | Metered():
                    yield delta
                case _:
                    assert_never(delta)

    def _told(self, pieces: Iterable[Piece]) -> Iterator[Delta]:
        for piece in pieces:
            yield from self._call(piece) if isinstance(piece, Found) else self._say(piece)
            yield from self._citations.ripe()

    def _say(self, text: str) -> Iterator[Delta]:
        if self._blank is not None:
            text = self._blank + text
            self._blank = text if not text or text.isspace() else None
        if self._blank is None:
            self._citations.told(len(text))
            yield Text(text)

    def _call(self, found: Found) -> Iterator[Delta]:
        self._citations.left_out(found.length + len(self._blank or ""))
        self._blank = ""
        yield ToolCall(self._calls, found.arguments, self._new_id(), found.name)
        self._calls += 1

    def _last_blank(self) -> Iterator[Delta]:
        if self._blank and not self._calls:
            self._citations.told(len(self._blank))
            yield Text(self._blank)
        self._blank = None
        yield from self._citations.ripe()

    def _cut_off(self) -> Iterator[Delta]:
        rest = (self._blank or "") + self._reader.rest()
        self._blank = None
        if rest and not self._is_finished:
            yield Text(rest)


class Required:
    """Holds an answer back until a tool is called in it, so that one without can be asked for anew. `name`: the tool
    that has to be called, empty for any."""

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._held: list[Delta] = []
        self._is_met = False

    def feed(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            match delta:
                case ToolCall(name=name):
                    self._held.append(delta)
                    self._is_met = self._is_met or self._name in ("", name)
                case Text() | Cited():
                    self._held.append(delta)
                case Finished(reason):
                    if not self._is_met and reason not in BROKEN_OFF:
                        raise GatewayError(Kind.FAILED, f"the model called no tool though {self._what()} was required")
                    yield from self._release()
                    yield delta
                case Opened() | Thinking() | Anchored() | Metered() | Closed():
                    yield delta
                case _:
                    assert_never(delta)
            if self._is_met:
                yield from self._release()

    def _what(self) -> str:
        return f"a call of {self._name[:64]}" if self._name else "one"

    def _release(self) -> Iterator[Delta]:
        held, self._held = self._held, []
        yield from held
