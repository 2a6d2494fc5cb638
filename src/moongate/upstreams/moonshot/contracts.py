"""What the platform's models accept. Sources: recorded traffic of 2026-09 and the platform's model overview."""

from moongate.upstreams.contract import Contract, FreeChoice, NamedTool, NoEmptyText, SystemRole
from moongate.upstreams.kimi import sampling

# `n` has no row although it is pinned to 1: who asks for three answers is better refused than given one.
CONTRACTS = (
    # K3 and its successors: `required` is accepted, a named function is not, whether it thinks or not.
    Contract(("kimi-k3*",), (NamedTool(), *sampling())),
    # K2.5 and K2.6 can stop thinking, and then take any choice and another temperature.
    Contract(("kimi-k2.5*", "kimi-k2.6*"), (FreeChoice(may_stop_thinking=True), *sampling(temperature_unthinking=0.6))),
    # K2.7-code cannot.
    Contract(("kimi-k2.7*",), (FreeChoice(), *sampling()), thinks="always"),
    Contract(("kimi-*",), (FreeChoice(), *sampling())),
    # moonshot-v1 took sampling parameters freely.
    Contract(("*",), (SystemRole(), NoEmptyText())),
)
