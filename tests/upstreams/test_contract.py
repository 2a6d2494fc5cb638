"""What Kimi would refuse is made to fit and announced, refused by name, or sent as it came: as the caller asked."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.core.request import Params, RequestHead
from moongate.dialects.openai_chat.server import OpenAIChat
from moongate.upstreams.contract import Contract, Fitted, fit
from moongate.upstreams.kimi_code.contracts import CONTRACTS as KIMI_CODE
from moongate.upstreams.moonshot.contracts import CONTRACTS as MOONSHOT

K3, K26, K27, V1 = "kimi-k3", "kimi-k2.6", "kimi-k2.7-code", "moonshot-v1-8k"
CODING = "kimi-for-coding"
OFF = '"thinking":{"type":"disabled"}'
ON = '"thinking":{"type":"enabled"}'
USER = '"messages":[{"role":"user","content":"hi"}]'


def contracts(model: str) -> tuple[Contract, ...]:
    return KIMI_CODE if model in (CODING, "k3") else MOONSHOT


def fitted(model: str, *members: str, mode: Params = "adapt") -> Fitted:
    return fit(contracts(model), model, body_of(*members), mode)


def body_of(*members: str) -> bytes:
    return ("{" + ",".join(('"model":"x"', *members)) + "}").encode()


# Values: which leave as they came, and which are left out.

KEPT = [
    (K3, '"temperature":1'),
    (K3, '"temperature":1.0'),
    (K3, '"temperature":1.00e0'),
    (K3, '"temperature":null'),
    (K3, '"top_p":0.95'),
    (K3, '"top_p":0.950'),
    (K3, '"presence_penalty":0'),
    (K3, '"presence_penalty":-0.0'),
    (K3, '"frequency_penalty":0.0'),
    (K3, '"n":3'),
    (K3, '"max_tokens":5,"seed":12345678901234567890,"stop":["a"],"zz":{"temperature":0}'),
    (K26, f'"temperature":0.6,{OFF}'),
    (K26, f'"temperature":1,{ON}'),
    (K26, '"temperature":1,"thinking":null'),
    (K26, '"temperature":1,"thinking":{"keep":"all"}'),
    (K27, f'"temperature":1,{OFF}'),
    (CODING, f'"temperature":0.6,{OFF}'),
    (V1, '"temperature":0.3,"top_p":0.5,"presence_penalty":1'),
]


@pytest.mark.parametrize(("model", "members"), KEPT)
def test_a_value_that_is_accepted_leaves_as_it_came(model: str, members: str) -> None:
    assert fitted(model, members, USER) == Fitted(body_of(members, USER))


DROPPED = [
    (K3, "temperature", "0", "", "1"),
    (K3, "temperature", "0.7", "", "1"),
    (K3, "temperature", "1.0000001", "", "1"),
    (K3, "temperature", "2", ON, "1"),
    (K3, "top_p", "1", "", "0.95"),
    (K3, "presence_penalty", "0.1", "", "0"),
    (K3, "frequency_penalty", "-2", OFF, "0"),
    (K26, "temperature", "0.6", "", "1"),
    (K26, "temperature", "0.6", ON, "1"),
    (K26, "temperature", "1", OFF, "0.6"),
    (K27, "temperature", "0.6", OFF, "1"),
    (K27, "temperature", "0", "", "1"),
    (CODING, "temperature", "0", "", "1"),
    (CODING, "temperature", "1.0", OFF, "0.6"),
    ("k3", "temperature", "0", "", "1"),
    ("kimi-of-the-future", "top_p", "0.9", "", "0.95"),
]


@pytest.mark.parametrize(("model", "field", "value", "beside", "only"), DROPPED)
def test_a_value_that_is_refused_is_left_out_and_named(
    model: str, field: str, value: str, beside: str, only: str
) -> None:
    rest = [USER, *([beside] if beside else [])]
    sent = [rest[0], f'"{field}":{value}', *rest[1:]]
    assert fitted(model, *sent) == Fitted(body_of(*rest), (f"{field} left out: {model} takes only {only}",))


@pytest.mark.parametrize("model", [K3, "k3"])
def test_k3_takes_one_temperature_whether_it_thinks_or_not(model: str) -> None:
    assert fitted(model, USER, '"temperature":1', OFF).notes == ()
    assert fitted(model, USER, '"temperature":0.6', OFF).body == body_of(USER, OFF)


def test_several_changes_are_each_named() -> None:
    found = fitted(K3, '"temperature":0', '"top_p":1', '"messages":[{"role":"developer","content":"x"}]')
    assert found.body == body_of('"messages":[{"role":"system","content":"x"}]')
    assert found.notes == (
        "temperature left out: kimi-k3 takes only 1",
        "top_p left out: kimi-k3 takes only 0.95",
        "role developer sent as system",
    )


# Messages.

EMPTY = '{"type":"text","text":""}'
FULL = '{"type":"text","text":"a"}'
IMAGE = '{"type":"image_url","image_url":{"url":"data:x"}}'
CALLS = '"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":""}}]'
ANSWER = '{"role":"assistant","content":"earlier"}'

MESSAGES = {
    "developer": ('{"role":"developer","content":"x"}', '{"role":"system","content":"x"}'),
    "an empty part of a user": (
        f'{{"role":"user","content":[{EMPTY},{FULL},{IMAGE}]}}',
        f'{{"role":"user","content":[{FULL},{IMAGE}]}}',
    ),
    "a user who said nothing": (f'{{"role":"user","content":[{EMPTY}]}}', ""),
    "a user who said an empty list": ('{"role":"user","content":[]}', ""),
    "a system that said nothing": (f'{{"role":"system","content":[{EMPTY},{EMPTY}]}}', ""),
    "an assistant that said nothing": (f'{{"role":"assistant","content":[{EMPTY}]}}', ""),
    "an assistant that only called": (
        f'{{"role":"assistant","content":[{EMPTY}],{CALLS}}}',
        f'{{"role":"assistant",{CALLS}}}',
    ),
    "an assistant with an empty list that called": (
        f'{{"role":"assistant","content":[],"reasoning_content":"r",{CALLS}}}',
        f'{{"role":"assistant","reasoning_content":"r",{CALLS}}}',
    ),
    "a tool that said nothing": (
        f'{{"role":"tool","tool_call_id":"t","content":[{EMPTY}]}}',
        '{"role":"tool","tool_call_id":"t","content":""}',
    ),
}


@pytest.mark.parametrize("model", [K3, K26, V1, CODING])
@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_made_to_fit_and_the_others_stay(name: str, model: str) -> None:
    sent, leaves = MESSAGES[name]
    before, after = f'"messages":[{ANSWER},{sent}]', f'"messages":[{",".join(filter(None, [ANSWER, leaves]))}]'
    found = fitted(model, before)
    assert found.body == body_of(after)
    assert found.notes == ("role developer sent as system" if name == "developer" else "empty text parts left out",)


UNTOUCHED = [
    '{"role":"user","content":""}',
    f'{{"role":"user","content":[{FULL}]}}',
    '{"role":"user","content":[{"type":"text","text":" "}]}',
    '{"role":"user","content":[{"type":"text","text":null}]}',
    '{"role":"assistant","content":null,"tool_calls":[]}',
    '{"role":"assistant","content":"","reasoning_content":"","partial":true}',
    '{"role":"system","tools":[]}',
    '{"role":"user","content":"a \\"developer\\" said \\"\\""}',
    '{"role":"user","name":"developer","content":"x", "n" : 1.00 }',
]


@pytest.mark.parametrize("message", UNTOUCHED)
def test_a_message_that_fits_leaves_as_it_came(message: str) -> None:
    members = f'"messages": [ {message} ]'
    assert fitted(K3, members) == Fitted(body_of(members))


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(f'{{"role":"assistant","content":[{EMPTY}],"reasoning_content":"long thought"}}', id="thinking"),
        pytest.param(f'{{"role":"assistant","content":[{EMPTY}],"partial":true,"name":"X"}}', id="partial"),
        pytest.param('{"role":"system","content":[],"tools":[{"type":"function"}]}', id="tools"),
    ],
)
def test_a_message_that_carries_more_than_empty_text_is_not_dropped(message: str) -> None:
    sent = json.loads(fitted(K3, f'"messages":[{ANSWER},{message}]').body)["messages"]
    assert len(sent) == 2
    carried = {name: value for name, value in json.loads(message).items() if name != "content"}
    assert carried.items() <= sent[1].items()


@pytest.mark.parametrize("calls", ["[]", "null"])
def test_a_message_with_neither_text_nor_calls_is_left_out(calls: str) -> None:
    found = fitted(K3, f'"messages":[{ANSWER},{{"role":"assistant","content":[],"tool_calls":{calls}}}]')
    assert json.loads(found.body)["messages"] == [json.loads(ANSWER)]


def test_an_empty_list_is_seen_however_it_is_spaced() -> None:
    assert fitted(K3, f'"messages":[{ANSWER},{{"role":"assistant","content":[ ],"tool_calls":[{{"id":"t"}}]}}]').notes


def test_messages_beside_a_changed_one_keep_their_bytes() -> None:
    beside = '{ "role" : "user", "content": "hi", "\\u0078": 1.00 }'
    assert beside.encode() in fitted(K3, f'"messages":[{{"role":"developer","content":"x"}},{beside}]').body


def test_a_conversation_is_never_emptied() -> None:
    members = f'"messages":[{{"role":"user","content":[{EMPTY}]}}]'
    assert fitted(K3, members) == Fitted(body_of(members))


# Tools.

TOOLS = '"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]'
ONLY_G = '"tools":[{"type":"function","function":{"name":"g"}}]'
NAMED = '"tool_choice":{"type":"function","function":{"name":"g"}}'
REQUIRED = '"tool_choice":"required"'

CHOICES = [
    (K3, NAMED, "", '"tool_choice":"required"', ONLY_G),
    (K3, NAMED, OFF, '"tool_choice":"required"', ONLY_G),
    (K3, REQUIRED, "", None, TOOLS),
    ("k3", NAMED, "", '"tool_choice":"required"', ONLY_G),
    ("k3", REQUIRED, "", None, TOOLS),
    (K26, NAMED, ON, '"tool_choice":"auto"', ONLY_G),
    (K26, REQUIRED, ON, '"tool_choice":"auto"', TOOLS),
    (K26, NAMED, OFF, None, TOOLS),
    (K26, REQUIRED, OFF, None, TOOLS),
    (K27, NAMED, "", '"tool_choice":"auto"', ONLY_G),
    (K27, REQUIRED, OFF, '"tool_choice":"auto"', TOOLS),
    (CODING, NAMED, ON, '"tool_choice":"auto"', ONLY_G),
    (CODING, REQUIRED, OFF, None, TOOLS),
    (V1, NAMED, "", None, TOOLS),
    (K26, '"tool_choice":"auto"', "", None, TOOLS),
    (K26, '"tool_choice":"none"', "", None, TOOLS),
    (K26, '"tool_choice":null', "", None, TOOLS),
]


@pytest.mark.parametrize(("model", "choice", "beside", "leaves", "tools"), CHOICES)
def test_a_choice_of_tools_is_made_to_fit(model: str, choice: str, beside: str, leaves: str | None, tools: str) -> None:
    rest = [USER, *([beside] if beside else [])]
    found = fitted(model, choice, TOOLS, *rest)
    assert found.body == body_of(leaves or choice, tools, *rest)
    assert len(found.notes) == (0 if leaves is None else 1)
    if leaves is not None:
        assert found.notes[0].startswith("tool_choice")
        assert model in found.notes[0]


@pytest.mark.parametrize(("choice", "named"), [(NAMED, "g"), (REQUIRED, "required")])
@pytest.mark.parametrize("beside", ["", '"thinking":null', '"thinking":{"keep":"all"}'])
def test_thinking_that_nobody_asked_for_gives_way_to_a_tool_that_somebody_did(
    choice: str, named: str, beside: str
) -> None:
    found = fitted(K26, choice, TOOLS, USER, *([beside] if beside else []), '"temperature":0.6')
    sent = json.loads(found.body)
    assert sent["thinking"] == {"type": "disabled"}
    assert sent["tool_choice"] == json.loads(f"{{{choice}}}")["tool_choice"]
    assert len(sent["tools"]) == 2
    assert sent["temperature"] == 0.6  # which is right without thinking
    assert found.notes == (f"thinking switched off: {K26} takes tool_choice {named} only without",)


@pytest.mark.parametrize(
    "choice",
    [
        '"tool_choice":{"type":"function","function":{"name":"nobody"}}',
        '"tool_choice":{"type":"function","function":{}}',
        '"tool_choice":{"type":"function","function":7}',
        '"tool_choice":{"type":"function","name":"g"}',
        '"tool_choice":["required"]',
        '"tool_choice":7',
    ],
)
def test_a_choice_that_names_no_tool_is_left_to_the_upstream(choice: str) -> None:
    assert fitted(K26, choice, TOOLS, USER) == Fitted(body_of(choice, TOOLS, USER))


def test_a_choice_without_tools_is_left_to_the_upstream() -> None:
    assert fitted(K26, NAMED, USER) == Fitted(body_of(NAMED, USER))


# Modes.

NEEDS_CHANGE = {
    "temperature": '"temperature":0',
    "messages": '"messages":[{"role":"developer","content":"x"}]',
    "tool_choice": f"{NAMED},{TOOLS}",
}


@pytest.mark.parametrize("param", NEEDS_CHANGE)
def test_strict_refuses_by_name_what_would_have_to_change(param: str) -> None:
    with pytest.raises(GatewayError) as failure:
        fitted(K3, NEEDS_CHANGE[param], mode="strict")
    assert (failure.value.kind, failure.value.param) == (Kind.INVALID_REQUEST, param)
    assert "strict" in failure.value.message


@pytest.mark.parametrize("param", NEEDS_CHANGE)
def test_pass_sends_what_came(param: str) -> None:
    assert fitted(K3, NEEDS_CHANGE[param], mode="pass") == Fitted(body_of(NEEDS_CHANGE[param]))


def test_strict_lets_pass_what_fits() -> None:
    assert fitted(K3, '"temperature":1.0', USER, mode="strict") == Fitted(body_of('"temperature":1.0', USER))


def test_a_model_without_a_contract_takes_what_comes() -> None:
    body = body_of('"temperature":0')
    assert fit((), K3, body, "adapt").body is body


def test_nothing_to_change_gives_the_same_object_back() -> None:
    body = body_of('"temperature":1', USER)
    assert fit(MOONSHOT, K3, body, "adapt").body is body


# Anything at all.

parts = st.sampled_from([EMPTY, FULL, IMAGE, '{"type":"text"}', '{"type":"x","text":""}'])
contents = st.one_of(
    st.sampled_from(["null", '""', '"x"', "[]", '"developer"']),
    st.lists(parts, max_size=3).map(lambda p: f"[{','.join(p)}]"),
)
roles = st.sampled_from(["developer", "system", "user", "assistant", "tool"])
extras = st.sampled_from(["", f",{CALLS}", ',"tool_call_id":"t"', ',"tool_calls":[]', ',"x":[]', ',"name":""'])
messages = st.builds('{{"role":"{}","content":{}{}}}'.format, roles, contents, extras)
numbers = st.sampled_from(["0", "0.6", "1", "1.0", "0.95", "null", "-1"])
members = st.lists(
    st.one_of(
        st.builds('"temperature":{}'.format, numbers),
        st.builds('"top_p":{}'.format, numbers),
        st.builds('"presence_penalty":{}'.format, numbers | st.sampled_from(['"0"', "[]", "true", "{}", '"\\u0000"'])),
        st.sampled_from([NAMED, REQUIRED, '"tool_choice":"auto"', '"tool_choice":{}', '"tool_choice":{"function":[]}']),
        st.sampled_from([TOOLS, ONLY_G, '"tools":[]', '"tools":[{"type":"builtin_function"}]']),
        st.sampled_from([ON, OFF, '"thinking":null', '"thinking":7', '"thinking":{"type":[]}', '"thinking":[]']),
        st.lists(messages, min_size=1, max_size=3).map(lambda m: f'"messages":[{",".join(m)}]'),
    ),
    max_size=6,
    unique_by=lambda member: member.partition(":")[0],
)
models = st.sampled_from([K3, K26, K27, V1, CODING, "k3"])


@given(models, members)
def test_what_fits_still_fits(model: str, members: list[str]) -> None:
    try:
        once = fitted(model, *members)
    except GatewayError:
        return
    again = fit(contracts(model), model, once.body, "adapt")
    assert again == Fitted(once.body)
    assert fit(contracts(model), model, once.body, "strict") == Fitted(once.body)
    assert bool(once.notes) == (once.body != body_of(*members))


hostile: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["developer", "", "text", "required", "f"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "function", "name", "tool_calls"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
HOSTILE_FIELDS = ("temperature", "presence_penalty", "thinking", "messages", "tools", "tool_choice")


def read_and_fit(model: str, body: bytes) -> Fitted | None:
    """As a request travels: what the dialect refuses never comes to be fitted."""
    try:
        ask = OpenAIChat().decode(body, RequestHead({}, "r"))
        return fit(contracts(model), model, ask.origin.body, "adapt")
    except GatewayError:
        return None


@given(models, st.dictionaries(st.sampled_from(HOSTILE_FIELDS), hostile, max_size=4), hostile)
def test_hostile_shapes_are_fitted_or_refused(model: str, members: dict[str, Any], content: Any) -> None:
    if members.get("tools", ...) is None:
        del members["tools"]  # known to fail, see below
    asking = {"model": "m", "messages": [{"role": "user", "content": content}], **members}
    read_and_fit(model, json.dumps(asking, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "member",
    [
        pytest.param('"tools":null,' + NAMED, id="null for tools beside a named one"),
        pytest.param('"presence_penalty":"\udcff"', id="a text that is no UTF-8"),
        pytest.param('"presence_penalty":1e400', id="a number beyond all floats"),
        pytest.param('"thinking":{"budget":1e400}', id="a number beyond all floats beside a known field"),
        pytest.param('"tool_choice":{"x":1e400}', id="a number beyond all floats in a choice"),
    ],
)
def test_a_request_that_was_read_is_fitted_or_refused(member: str) -> None:
    read_and_fit(K3, f'{{"model":"m",{USER},{member}}}'.encode(errors="surrogateescape"))


@pytest.mark.parametrize(
    "messages",
    ['"developer"', '{"role":"developer"}', '["developer"]', '[{"name":"developer"}]', '[{"content":[[]]},[]]'],
)
def test_a_body_of_another_shape_is_left_to_the_upstream_or_refused(messages: str) -> None:
    try:
        fitted(K3, f'"messages":{messages}')
    except GatewayError as error:
        assert error.kind is Kind.INVALID_REQUEST  # noqa: PT017
