"""What is said in answer: by the script if it says anything, else by a speech that owns up to being simulated."""

from typing import Final

import msgspec

from moongate.simulator import tokens
from moongate.simulator.asked import Asked, tool_name
from moongate.simulator.placeholder import placeholder
from moongate.simulator.script import DIRECTIVE, Script, Tool
from moongate.simulator.tokens import Usage
from moongate.simulator.values import JsonObject, as_object, dumps

_QUOTED: Final = 120
_NOTICE: Final = "This is a simulated answer; no model was asked. 这是模拟的回答，没有询问任何模型。"
_THOUGHT: Final = "Nothing to think about: the answer is simulated. 无需思考，回答是模拟的。"


class Said(msgspec.Struct, frozen=True):
    """One answer before it takes a shape. `reasoning` None is left out of a whole reply, "" is written."""

    reasoning: str | None
    text: str
    tools: tuple[Tool, ...]
    finish_reason: str

    def usage(self, asked: Asked, cached: int) -> Usage:
        reasoning = tokens.count(self.reasoning or "")
        if self.reasoning == "":
            reasoning = 1  # billed by K2.6 although it was told not to think (wire, 2026-09)
        completion = reasoning + tokens.count(self.text) + sum(tokens.count("".join(tool)) for tool in self.tools)
        reported = None if self.reasoning is None else reasoning
        return Usage(tokens.prompt_tokens(asked), completion, reported, cached)


def speak(script: Script, asked: Asked) -> Said:
    if script.reasoning is None and script.text is None and script.tools is None:
        reasoning, text, tools = _default(asked)
    else:
        reasoning, text, tools = script.reasoning or "", script.text or "", script.tools or ()
    silent = "" if asked.model.trace_of_reasoning and not asked.thinking else None
    return Said(reasoning or silent, text, tools, script.finish_reason or ("tool_calls" if tools else "stop"))


def _default(asked: Asked) -> tuple[str, str, tuple[Tool, ...]]:
    reasoning = _THOUGHT if asked.thinking else ""
    tool = _wanted_tool(asked)
    if tool is None:
        return reasoning, _text(asked), ()
    arguments = placeholder(as_object(tool.get("function")).get("parameters") or {"type": "object"})
    return reasoning, "", ((tool_name(tool), dumps(arguments).decode()),)


def _wanted_tool(asked: Asked) -> JsonObject | None:
    """The tool that must be called now: none unless one is demanded and it is the user who is waiting."""
    if not asked.messages or asked.messages[-1].get("role") != "user":
        return None
    match asked.tool_choice:
        case "required":
            return next(iter(asked.tools), None)
        case "specified":
            name = tool_name(as_object(asked.body.get("tool_choice")))
            return next((tool for tool in asked.tools if tool_name(tool) == name), None)
        case _:
            return None


def _text(asked: Asked) -> str:
    wanted = as_object(asked.body.get("response_format"))
    match wanted.get("type"):
        case "json_object":
            return dumps({"simulated": True, "notice": _NOTICE, "you_said": _heard(asked)}).decode()
        case "json_schema":
            return dumps(placeholder(as_object(wanted.get("json_schema")).get("schema"))).decode()
        case _:
            return " ".join((_NOTICE, *_remarks(asked)))


def _remarks(asked: Asked) -> list[str]:
    heard, images = _heard(asked), asked.images
    said = [f"You said / 你说：「{heard}」"] if heard else []
    seen = [f"{images} image{'s' * (images != 1)} received. 收到 {images} 张图片。"] if images else []
    return said + seen


def _heard(asked: Asked) -> str:
    """The last user text in one line, shortened and without directives."""
    lines = (line for line in asked.last_user_text.split("\n") if not line.lstrip().startswith(DIRECTIVE))
    text = " ".join(" ".join(lines).split())
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "…"
