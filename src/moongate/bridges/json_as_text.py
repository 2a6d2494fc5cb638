"""JSON from a model that has no such mode: asked for in words, and told only if it is what was asked for."""

import re
from collections.abc import Iterable, Iterator
from typing import assert_never

import msgspec

from moongate.bridges.json_schema import Schema
from moongate.bridges.phrases import Phrases
from moongate.bridges.rewriting import Citations
from moongate.bridges.tools_as_text import BROKEN_OFF, compact
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import (
    Anchored,
    Cited,
    Closed,
    Delta,
    Finished,
    Metered,
    Opened,
    Text,
    Thinking,
    ToolCall,
)
from moongate.core.prompt import Output

_FENCED = re.compile(r"^ {0,3}```[^`\n]*\n(.*?)^ {0,3}```[ \t]*$", re.DOTALL | re.MULTILINE)


def told(output: Output, words: Phrases, mark: str) -> str:
    """How the model learns what is wanted; empty where that is text."""
    match output.form:
        case "text":
            return ""
        case "json":
            return words.json
        case "schema" if not output.schema:
            return words.json
        case "schema":
            schema = bytes(compact(output.schema)).decode()
            return f"{words.schema}\n<schema-{mark}>\n{schema}\n</schema-{mark}>"
        case _:
            assert_never(output.form)


class Json:
    """Holds the text back and tells it in one piece, as the model wrote it and without a code fence around it.

    `schema`: None for any object. An answer that calls tools is told as it is, and so is one that was broken off: the
    caller sees by its reason that it is not complete.
    """

    def __init__(self, schema: Schema | None) -> None:
        self._schema = schema
        self._text = ""
        self._parts: list[str] = []
        self._is_free = False
        self._citations = Citations()

    def feed(self, deltas: Iterable[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            match delta:
                case Text(text):
                    self._parts.append(text)
                    if self._is_free:
                        yield from self._release()
                case ToolCall():
                    yield from self._release()
                    self._is_free = True
                    yield delta
                case Cited():
                    self._citations.hold(delta)
                    yield from self._citations.ripe()
                case Finished(reason):
                    if self._is_free or reason in BROKEN_OFF:
                        yield from self._release()
                    else:
                        yield from self._checked()
                    self._is_free = True
                    yield delta
                case Opened() | Thinking() | Anchored() | Metered() | Closed():
                    yield delta
                case _:
                    assert_never(delta)

    def _take(self) -> str:
        text = "".join(self._parts)
        self._parts.clear()
        return text

    def _release(self) -> Iterator[Delta]:
        if text := self._take():
            self._citations.told(len(text))
            yield Text(text)
        yield from self._citations.ripe()

    def _checked(self) -> Iterator[Delta]:
        text = self._take()
        start, end = _json_in(text)
        if fault := self._fault(text[start:end]):
            raise GatewayError(Kind.FAILED, f"the model's answer is not the JSON that was asked for: {fault}")
        self._citations.left_out(start)
        self._citations.told(end - start)
        self._citations.left_out(len(text) - end)
        yield Text(text[start:end])
        yield from self._citations.ripe()

    def _fault(self, text: str) -> str:
        """Empty where it is what was asked for."""
        if not text:
            return "it is empty"
        try:
            value = msgspec.json.decode(text)
            if self._schema is not None:
                return self._schema.breach(value)
        except (msgspec.DecodeError, UnicodeError) as error:
            return str(error)[:200]
        except RecursionError:
            return "it is nested too deeply"
        except ArithmeticError:
            return "a number in it is too large"
        return "" if isinstance(value, dict) else "it is no object"


def _json_in(text: str) -> tuple[int, int]:
    """Where it stands: between the fences where there is one fenced block, whatever is said around it, else in all."""
    blocks = list(_FENCED.finditer(text))
    start, end = blocks[0].span(1) if len(blocks) == 1 and text.lstrip()[:1] not in ("{", "[") else (0, len(text))
    inner = text[start:end]
    start += len(inner) - len(inner.lstrip())
    return start, start + len(inner.strip())
