"""The models that the web site offers, in the shapes captured in 2026-05 and 2026-09."""

from typing import Final

from moongate.simulator.values import JsonObject


def _efforts(*names: str) -> list[JsonObject]:
    return [{"effort": f"REASONING_EFFORT_{name}"} for name in names]


_COMPUTER: Final[JsonObject] = {"scenario": "SCENARIO_OK_COMPUTER", "kimiPlusId": "ok-computer"}

_IN_SEPTEMBER: Final[JsonObject] = {
    "availableModels": [
        {
            "scenario": "SCENARIO_CHAT",
            "displayName": "Instant",
            "key": "k2d6",
            "id": "k2d6-chat",
            "reasoningEffortOptions": _efforts("NONE", "LOW"),
            "defaultReasoningEffort": "REASONING_EFFORT_LOW",
        },
        {
            **_COMPUTER,
            "displayName": "K2.8",
            "agentMode": "TYPE_NORMAL",
            "key": "k28-preview",
            "id": "k28-agent-preview",
        },
        {
            **_COMPUTER,
            "displayName": "K3",
            "agentMode": "TYPE_NORMAL",
            "key": "k3",
            "id": "k3-agent",
            "switchableTo": ["k3-agent-swarm"],
            "reasoningEffortOptions": _efforts("LOW", "HIGH", "MAX"),
            "defaultReasoningEffort": "REASONING_EFFORT_HIGH",
            "contextLengthOptions": [
                {"contextLength": "CONTEXT_LENGTH_L", "available": True},
                {"contextLength": "CONTEXT_LENGTH_XL", "minMembershipLevel": "LEVEL_ADVANCED"},
            ],
            "defaultContextLength": "CONTEXT_LENGTH_L",
        },
        {
            **_COMPUTER,
            "scenario": "SCENARIO_OK_COMPUTER_SWARM",
            "displayName": "K3 Swarm",
            "agentMode": "TYPE_ULTRA",
            "key": "k3-agent-ultra",
            "id": "k3-agent-swarm",
            "minMembershipLevel": "LEVEL_BASIC",
        },
    ],
    "defaultScenario": {"scenario": "SCENARIO_CHAT", "model": "k2d6-chat"},
}

_IN_MAY: Final[JsonObject] = {
    "availableModels": [
        {"scenario": "SCENARIO_K2D5", "displayName": "K2.6 Instant", "key": "k2d6"},
        {"scenario": "SCENARIO_K2D5", "displayName": "K2.6 Thinking", "key": "k2d6-thinking", "thinking": True},
        {**_COMPUTER, "displayName": "K2.6 Agent", "agentMode": "TYPE_NORMAL", "key": "k2d6-agent"},
        {**_COMPUTER, "displayName": "K2.6 Agent Swarm", "agentMode": "TYPE_ULTRA", "key": "k2d6-agent-ultra"},
    ],
    "defaultScenario": {"scenario": "SCENARIO_K2D5"},
}

MENUS: Final = {"2026-09": _IN_SEPTEMBER, "2026-05": _IN_MAY}
