"""Calls are told as calls, in the order in which they were made; everything else stays the text it is."""

import re
from itertools import count

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.bridges.phrases import CHINESE, ENGLISH
from moongate.bridges.tools_as_text import Calls, Required, new_id, offered, spelled, told
from moongate.core.assemble import Assembler
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
    Usage,
)
from moongate.core.prompt import Call, Choice, Message, Prompt, Tool, Words
from scripted import assert_grammatical

CLOCK = '<call-1f>\n{"name":"clock","arguments":{"zone":"UTC"}}\n</call-1f>'
DICE = '<call-1f>{"name":"dice","arguments":{}}</call-1f>'
BROKEN = '<call-1f>{"name":"clock","arguments":{"zo'


def calls() -> Calls:
    numbers = count()
    return Calls("1f", frozenset({"clock", "dice"}), lambda: f"call_{next(numbers)}")


def rewritten(*deltas: Delta) -> list[Delta]:
    """What becomes of them, with texts that follow each other as one."""
    told: list[Delta] = []
    for delta in calls().feed(deltas):
        if isinstance(delta, Text) and told and isinstance(told[-1], Text):
            told[-1] = Text(told[-1].text + delta.text)
        else:
            told.append(delta)
    return told


def reply(*texts: str, reason: FinishReason = "stop") -> list[Delta]:
    return [Opened("r", "kimi"), *map(Text, texts), Finished(reason), Metered(Usage(1, 2)), Closed()]


def test_a_call_is_told_as_one() -> None:
    assert rewritten(*reply("Let me see.\n", CLOCK, "\n")) == [
        Opened("r", "kimi"),
        Text("Let me see.\n"),
        ToolCall(0, '{"zone":"UTC"}', "call_0", "clock"),
        Finished("tool_calls"),
        Metered(Usage(1, 2)),
        Closed(),
    ]


def test_calls_and_text_keep_their_order() -> None:
    assert rewritten(*reply(f" \n{CLOCK}\n\n{DICE}\nand so"))[1:-2] == [
        ToolCall(0, '{"zone":"UTC"}', "call_0", "clock"),
        ToolCall(1, "{}", "call_1", "dice"),
        Text("\nand so"),
        Finished("tool_calls"),
    ]


def test_an_answer_without_calls_ends_as_it_did() -> None:
    assert rewritten(*reply("  ", "hello", "\n")) == [
        Opened("r", "kimi"),
        Text("  hello\n"),
        *reply()[1:],
    ]
    assert Text(" \n") in rewritten(*reply(" \n"))


@pytest.mark.parametrize("reason", ["length", "filtered"])
def test_an_answer_that_was_broken_off_stays_so(reason: FinishReason) -> None:
    told_ = rewritten(*reply(CLOCK, BROKEN, reason=reason))
    assert Finished(reason) in told_
    assert Text(BROKEN) in told_


def test_half_a_call_is_never_a_call() -> None:
    assert rewritten(Text(CLOCK[:-1])) == []
    assert rewritten(Text(CLOCK[:-1]), Closed()) == [Text(CLOCK[:-1]), Closed()]
    assert rewritten(*reply(CLOCK[:-1]))[1:3] == [Text(CLOCK[:-1]), Finished("stop")]
    assert not any(isinstance(delta, ToolCall) for delta in rewritten(Text(f"```\n{CLOCK}\n"), Closed()))


def test_thinking_is_not_looked_at() -> None:
    thought: list[Delta] = [Thinking(CLOCK), Text("I won't."), Finished("stop")]
    assert rewritten(*thought) == thought


def test_every_call_has_an_id_of_its_own() -> None:
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"call_[0-9a-f]{24}", name) for name in ids)


def test_citations_keep_to_the_text_they_belong_to() -> None:
    text = f"See this{CLOCK}and that"
    at = text.index("that")
    first, inside, last = Cited("u", "t", 4, 8), Cited("u", "t", 10, 12), Cited("u", "t", at, at + 4)
    deltas = rewritten(first, inside, last, Text(text), Finished("stop"))
    assert deltas == [
        Text("See this"),
        first,
        ToolCall(0, '{"zone":"UTC"}', "call_0", "clock"),
        Text("and that"),
        Cited("u", "t", 12, 16),
        Finished("tool_calls"),
    ]


some = st.lists(st.sampled_from([CLOCK, DICE, BROKEN, "```\n", "\n", " ", "hi", "<call-1f>", "</call-1f>"]), max_size=8)


@given(some, st.integers(1, 7))
def test_any_answer_becomes_the_grammar_and_loses_no_word(parts: list[str], size: int) -> None:
    text = "".join(parts)
    deltas = rewritten(*reply(*(text[i : i + size] for i in range(0, len(text), size))))
    assert_grammatical([*Assembler().feed(deltas)])
    spelled_again = "".join(
        delta.text if isinstance(delta, Text) else spelled(Call("", delta.name, delta.arguments), "1f")
        for delta in deltas
        if isinstance(delta, Text | ToolCall)
    )
    without_fences = spelled_again.replace("`", "").split()
    assert "".join(without_fences) == "".join(text.replace("`", "").split())


ANCHORED = Anchored("chat", "m")


@pytest.mark.parametrize("name", ["", "dice"])
def test_an_answer_is_held_back_until_the_required_call(name: str) -> None:
    required = Required(name)
    assert list(required.feed([Opened("r", ""), Text("Hm."), Thinking("t"), ANCHORED])) == [
        Opened("r", ""),
        Thinking("t"),
        ANCHORED,
    ]
    dice = ToolCall(0, "{}", "call_0", "dice")
    assert list(required.feed([dice])) == [Text("Hm."), dice]
    rest: list[Delta] = [Text("more"), Finished("tool_calls"), Closed()]
    assert list(required.feed(rest)) == rest


@pytest.mark.parametrize(
    ("name", "said"),
    [("", [Text("No.")]), ("dice", [ToolCall(0, "{}", "call_0", "clock")])],
)
def test_an_answer_without_the_required_call_fails_so_that_it_is_asked_again(name: str, said: list[Delta]) -> None:
    required = Required(name)
    assert list(required.feed(said)) == []
    with pytest.raises(GatewayError, match=r"called no tool though .* required") as caught:
        list(required.feed([Finished("stop")]))
    assert caught.value.kind is Kind.FAILED


def test_an_answer_that_was_broken_off_before_the_required_call_is_told() -> None:
    assert list(Required().feed([Text("Let me"), Finished("length")])) == [Text("Let me"), Finished("length")]


TOOLS = (
    Tool("clock", "Tells\nthe time.", msgspec.Raw(b'{ "type": "object",\n "properties": {} }')),
    Tool("dice"),
)


def asked(choice: Choice, tools: tuple[Tool, ...] = TOOLS) -> Prompt:
    return Prompt(messages=(Message("user", (Words("Go"),)),), tools=tools, choice=choice)


def test_tools_are_told_one_in_a_line() -> None:
    text = told(TOOLS, Choice(), ENGLISH, "1f")
    assert text.endswith(
        "\n<tools-1f>\n"
        '{"name":"clock","description":"Tells\\nthe time.","parameters":{"type":"object","properties":{}}}\n'
        '{"name":"dice"}\n'
        "</tools-1f>"
    )
    assert '<call-1f>\n{"name":"...","arguments":{...}}\n</call-1f>' in text


@pytest.mark.parametrize(
    ("choice", "end"),
    [
        (Choice("required"), ENGLISH.required),
        (Choice("tool", "dice"), ENGLISH.named.format(name='"dice"')),
        (Choice("auto"), "</tools-1f>"),
    ],
)
def test_a_choice_is_told_in_words(choice: Choice, end: str) -> None:
    assert told(TOOLS, choice, ENGLISH, "1f").endswith(end)


def test_chinese_words_ask_for_the_same_form() -> None:
    assert '<call-1f>\n{"name":"...","arguments":{...}}\n</call-1f>' in told(TOOLS, Choice(), CHINESE, "1f")


@pytest.mark.parametrize(
    ("choice", "tools"),
    [
        (Choice("auto"), TOOLS),
        (Choice("none"), ()),
        (Choice("required"), TOOLS),
        (Choice("tool", "dice"), TOOLS),
    ],
)
def test_what_is_offered_follows_the_choice(choice: Choice, tools: tuple[Tool, ...]) -> None:
    assert offered(asked(choice)) == tools


@pytest.mark.parametrize(("choice", "tools"), [(Choice("required"), ()), (Choice("tool", "rm"), TOOLS)])
def test_a_choice_of_what_is_not_offered_is_refused(choice: Choice, tools: tuple[Tool, ...]) -> None:
    with pytest.raises(GatewayError) as caught:
        offered(asked(choice, tools))
    assert (caught.value.kind, caught.value.param) == (Kind.INVALID_REQUEST, "tool_choice")


@given(st.text(), st.text())
def test_what_was_called_is_told_as_it_is_read(name: str, argument: str) -> None:
    arguments = msgspec.json.encode({"a": argument}).decode()
    found = list(Calls("1f", frozenset({name})).feed([Text(spelled(Call("x", name, arguments), "1f"))]))
    if "</call-1f>" not in name + argument:
        assert [(call.name, call.arguments) for call in found if isinstance(call, ToolCall)] == [(name, arguments)]
