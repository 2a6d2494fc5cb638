"""Names of models: what they wish for, what a site serves, and what it is asked for."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.upstreams.kimi_web import models
from moongate.upstreams.kimi_web.models import KNOWN, NO_K1_5, Choice, Menu, Wish, chosen, listed, read_menu, wish

NONE, LOW, HIGH, MAX = (f"REASONING_EFFORT_{name}" for name in ("NONE", "LOW", "HIGH", "MAX"))

NEWER = {
    "availableModels": [
        {
            "scenario": "SCENARIO_CHAT",
            "displayName": "Instant",
            "key": "k2d6",
            "id": "k2d6-chat",
            "reasoningEffortOptions": [{"effort": NONE, "displayName": "Standard"}, {"effort": LOW}],
            "defaultReasoningEffort": LOW,
        },
        {
            "scenario": "SCENARIO_OK_COMPUTER",
            "displayName": "K2.8",
            "label": ["Preview"],
            "kimiPlusId": "ok-computer",
            "agentMode": "TYPE_NORMAL",
            "key": "k28-preview",
            "id": "k28-agent-preview",
        },
        {
            "scenario": "SCENARIO_OK_COMPUTER",
            "displayName": "K3",
            "kimiPlusId": "ok-computer",
            "agentMode": "TYPE_NORMAL",
            "key": "k3",
            "id": "k3-agent",
            "reasoningEffortOptions": [{"effort": HIGH}, {"effort": LOW}, {"effort": MAX}],
            "defaultReasoningEffort": HIGH,
            "contextLengthOptions": [{"contextLength": "CONTEXT_LENGTH_L", "available": True}],
            "minMembershipLevel": "LEVEL_BASIC",
        },
    ],
    "defaultScenario": {"scenario": "SCENARIO_CHAT", "model": "k2d6-chat"},
}
OLDER = {
    "availableModels": [
        {"scenario": "SCENARIO_K2D5", "displayName": "K2.6 Thinking", "key": "k2d6-thinking", "thinking": True},
        {"scenario": "SCENARIO_K2D5", "displayName": "K2.6", "key": "k2d6"},
        {"scenario": "SCENARIO_OK_COMPUTER", "displayName": "Agent", "key": "k2d6-agent", "kimiPlusId": "ok-computer"},
    ],
    "defaultScenario": {"scenario": "SCENARIO_K2D5"},
}


def menu(told: object = NEWER) -> Menu:
    return read_menu(json.dumps(told).encode())


# Names.


@pytest.mark.parametrize(
    ("name", "wished"),
    [
        ("k2", Wish("k2", None, True)),
        ("k2-thinking", Wish("k2", True, True)),
        ("k2-nosearch", Wish("k2", None, False)),
        ("k2-search", Wish("k2", None, True)),
        ("k1.5-thinking-nosearch", Wish("k1.5", True, False)),
        ("k1.5-nosearch-thinking", Wish("k1.5", True, False)),
        ("k2-search-nosearch", Wish("k2", None, False)),
        ("k2-nosearch-search", Wish("k2", None, True)),
        ("k3-agent", Wish("k3-agent", None, True)),
        ("thinking", Wish("thinking", None, True)),
        ("-thinking", Wish("", True, True)),
    ],
)
def test_a_name_tells_what_is_wished_for(name: str, wished: Wish) -> None:
    assert wish(name) == msgspec.structs.replace(wished, name=name)


@given(st.text())
def test_any_text_may_be_a_name(name: str) -> None:
    assert name.startswith(wish(name).base)


def test_the_short_names_are_known_with_all_their_endings() -> None:
    assert len(KNOWN) == 12
    assert {model.upstream for model in KNOWN} == {"kimi-web"}
    assert {model.context_length for model in KNOWN} == {262_144}
    assert "k1.5-thinking-nosearch" in {model.id for model in KNOWN}


# What a site serves.


def test_a_menu_of_the_newer_shape_is_read() -> None:
    instant, preview, k3 = menu().entries
    assert (instant.id, instant.key, instant.title, instant.efforts) == ("k2d6-chat", "k2d6", "Instant", (NONE, LOW))
    assert (preview.plus, preview.mode, preview.can_think) == ("ok-computer", "TYPE_NORMAL", False)
    assert (k3.effort, k3.lengths, k3.level) == (HIGH, ("CONTEXT_LENGTH_L",), "LEVEL_BASIC")
    assert menu().default == instant


def test_a_menu_of_the_older_shape_is_read() -> None:
    read = menu(OLDER)
    assert [entry.name for entry in read.entries] == ["k2d6-thinking", "k2d6", "k2d6-agent"]
    assert read.default.key == "k2d6"


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"availableModels": None},
        {"availableModels": [None, 5, "x", {}, {"scenario": "S"}, {"key": "k"}, {"scenario": 5, "key": "k"}]},
        {"availableModels": {"a": 1}, "defaultScenario": [1]},
        [],
    ],
)
def test_a_menu_that_cannot_be_read_serves_the_least_that_is_safe(told: object) -> None:
    read = menu(told)
    assert read.entries == ()
    assert chosen(read, Wish("k2")) == Choice("SCENARIO_K2D5")


@given(st.binary())
def test_no_menu_is_too_odd(body: bytes) -> None:
    assert read_menu(body).default.scenario


def test_an_odd_entry_spoils_no_other() -> None:
    entries = [{**NEWER["availableModels"][0], "reasoningEffortOptions": odd} for odd in (None, 5, [None, {"a": 1}])]  # type: ignore[index]
    assert [entry.efforts for entry in menu({"availableModels": entries}).entries] == [(), (), ()]


def test_what_a_site_reports_is_listed_beside_what_any_understands() -> None:
    names = [model.id for model in listed(menu())]
    assert names[:12] == [model.id for model in KNOWN]
    assert names[12:] == [
        "k2d6-chat",
        "k2d6-chat-nosearch",
        "k2d6-chat-thinking",
        "k2d6-chat-thinking-nosearch",
        "k28-agent-preview",
        "k28-agent-preview-nosearch",
        "k3-agent",
        "k3-agent-nosearch",
        "k3-agent-thinking",
        "k3-agent-thinking-nosearch",
    ]
    assert listed(None) == KNOWN


def test_a_name_is_listed_once() -> None:
    names = [model.id for model in listed(menu(OLDER))]
    assert len(names) == len(set(names))


# What is asked for.


INSTANT = Choice("SCENARIO_CHAT", "k2d6-chat", "", "", (NONE, LOW), LOW)


@pytest.mark.parametrize(
    ("told", "name", "choice"),
    [
        (NEWER, "k2", INSTANT),
        (NEWER, "kimi", INSTANT),
        (NEWER, "k2d6-chat", INSTANT),
        (NEWER, "k2d6", INSTANT),
        (NEWER, "k3", Choice("SCENARIO_OK_COMPUTER", "k3-agent", "ok-computer", "TYPE_NORMAL", (HIGH, LOW, MAX), HIGH)),
        (OLDER, "k2", Choice("SCENARIO_K2D5")),
        (OLDER, "k2d6-thinking", Choice("SCENARIO_K2D5")),
        (OLDER, "k2d6-agent", Choice("SCENARIO_OK_COMPUTER", kimiplus_id="ok-computer")),
    ],
)
def test_a_name_is_one_of_the_sites(told: object, name: str, choice: Choice) -> None:
    assert chosen(menu(told), wish(name)) == choice


def test_a_model_that_is_no_more_is_answered_for_with_a_note() -> None:
    assert chosen(menu(), wish("k1.5")).note == NO_K1_5
    assert chosen(None, wish("k1.5")) == Choice("SCENARIO_K2D5", note=NO_K1_5)


@pytest.mark.parametrize("told", [NEWER, OLDER, None])
def test_a_name_nobody_knows_is_refused(told: Any) -> None:
    with pytest.raises(GatewayError) as failure:
        chosen(menu(told) if told else None, wish("k9-thinking"))
    assert failure.value.kind is Kind.MODEL_NOT_SERVED
    assert "k9" in failure.value.message


@pytest.mark.parametrize(
    ("efforts", "default", "thinking", "unthinking"),
    [
        ((NONE, LOW), LOW, LOW, NONE),
        ((NONE, LOW), NONE, LOW, NONE),
        ((HIGH, LOW, MAX), HIGH, HIGH, LOW),
        ((NONE,), NONE, NONE, NONE),
        (("REASONING_EFFORT_NEW", HIGH), "", HIGH, HIGH),
        ((), LOW, "", ""),
    ],
)
def test_how_hard_to_think_is_one_of_what_is_offered(
    efforts: tuple[str, ...], default: str, thinking: str, unthinking: str
) -> None:
    choice = Choice("S", "id", efforts=efforts, default_effort=default)
    assert (choice.effort(True), choice.effort(False)) == (thinking, unthinking)


@pytest.mark.parametrize(
    ("name", "thinking", "model"),
    [
        ("k2", False, "k2"),
        ("k1.5", False, "k1.5"),
        ("kimi", False, "kimi"),
        ("k2", True, "k1.5"),
        ("kimi", True, "k1.5"),
    ],
)
def test_the_older_generation_has_names_of_its_own(name: str, thinking: bool, model: str) -> None:
    assert models.legacy(wish(name), thinking=thinking) == model


def test_the_older_generation_serves_nothing_else() -> None:
    with pytest.raises(GatewayError) as failure:
        models.legacy(wish("k3"), thinking=False)
    assert failure.value.kind is Kind.MODEL_NOT_SERVED
