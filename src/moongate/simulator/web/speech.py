"""What a web chat says to a turn: by its script, else a speech that owns up to being simulated."""

import re
from typing import Final

import msgspec

from moongate.simulator.web.asked import Asked
from moongate.simulator.web.script import DIRECTIVE, Markers, SearchResult, WebScript

_QUOTED: Final = 120
_NOTICE: Final = "This is a simulated answer; no model was asked. 这是模拟的回答，没有询问任何模型。"
_THOUGHT: Final = "Nothing to think about: the answer is simulated. 无需思考，回答是模拟的。"
_TITLE: Final = "Simulated chat"
_PLACE: Final = re.compile(r"\[\[(\d+(?:,\d+)*)\]\]")
_OPEN, _GAP, _CLOSE = "\ue3a0", "\ue3a3", "\ue3a8"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One answer before it takes a shape. `used` are the results that the text refers to, by place from 1."""

    thinking: str
    text: str
    title: str
    results: tuple[SearchResult, ...] = ()
    used: tuple[int, ...] = ()


def speak(script: WebScript, asked: Asked, *, messages: int, is_new: bool, is_older: bool) -> Said:
    """`messages` is how many the context has, the new one included; `is_older` is the generation without Connect."""
    style = script.marked(is_older=is_older)
    thinking = script.thinking
    if thinking is None:
        thinking = _THOUGHT if asked.thinking and script.text is None else ""
    results = script.search
    if script.only_if_asked:
        thinking, results = thinking if asked.thinking else "", results if asked.search else ()
    text = _speech(asked, messages) if script.text is None else script.text
    if results and style != "none" and not _PLACE.search(text):
        text += " " + "".join(f"[[{number}]]" for number in range(1, len(results) + 1))
    used = dict.fromkeys(number for found in _PLACE.finditer(text) for number in _numbers(found))
    title = script.title if script.title is not None else _TITLE if is_new else ""
    return Said(
        thinking="" if script.empty else thinking,
        text="" if script.empty else _PLACE.sub(lambda found: _marker(style, found, results), text),
        title=title,
        results=() if script.empty else results,
        used=tuple(number for number in used if number <= len(results)) if not script.empty else (),
    )


def ref_index(number: int) -> str:
    """How the text names a result, by its place from 1."""
    return f"web_search:1#{number - 1}"


def _numbers(found: re.Match[str]) -> list[int]:
    return [int(number) for number in found[1].split(",")]


def _marker(style: Markers, found: re.Match[str], results: tuple[SearchResult, ...]) -> str:
    if not results:
        return ""
    numbers = _numbers(found)
    quotes = [results[number - 1].snippet if 0 < number <= len(results) else "" for number in numbers]
    return _marked(style, numbers, quotes)


def _marked(style: Markers, numbers: list[int], quotes: list[str]) -> str:
    """Forms captured between 2026-06 and 2026-10; the separators differ from source to source."""
    names = [ref_index(number) for number in numbers]
    quoted = [quote or "quote" for quote in quotes]
    match style:
        case "none":
            return ""
        case "caret":
            return "".join(f"[^{number}^]" for number in numbers)
        case "tagged":
            pairs = zip(numbers, quoted, strict=True)
            return "".join(
                f"<REF>cite✦tools://web_search_0#{number - 1}:~:text={quote}</REF>" for number, quote in pairs
            )
        case "quote":
            pieces = [f"{name}:~:text={quote}" for name, quote in zip(names, quoted, strict=True)]
            return f"{_OPEN}cite{_GAP}{_GAP.join(pieces)}{_CLOSE}"
        case "separators":
            return f"{_OPEN}article\U0001f6e0{chr(0x1F3A8).join(names)}{_CLOSE}"
        case "private_use":
            return f"{_OPEN}cite{_GAP}{_GAP.join(names)}{_CLOSE}"


def _speech(asked: Asked, messages: int) -> str:
    remarks = [_NOTICE, f"Messages of context / 上文消息数: {messages}."]
    if asked.files:
        remarks.append(f"Files / 文件: {len(asked.files)}.")
    if heard := _heard(asked.text):
        remarks.append(f"You said / 你说：「{heard}」")
    return " ".join(remarks)


def _heard(text: str) -> str:
    lines = (line for line in text.split("\n") if not line.lstrip().startswith(DIRECTIVE))
    said = " ".join(" ".join(lines).split())
    return said if len(said) <= _QUOTED else said[:_QUOTED] + "…"
