"""What the platform's models accept. Sources: recorded traffic of 2026-09 and the platform's model overview."""

from moongate.upstreams.contract import Contract, NoEmptyText, SystemRole, ToolChoice, sampling

# `n` has no row although it is pinned to 1: who asks for three answers is better refused than given one.
CONTRACTS = (
    # K3 and its successors think always; `required` is accepted, a named function is not.
    Contract(("kimi-k3*",), sampling([ToolChoice(named="required", required="required", only_thinking=False)])),
    # K2.7-code cannot stop thinking; K2.5 and K2.6 can, and then take any choice.
    Contract(
        ("kimi-k2.7*",),
        sampling([ToolChoice(named="auto", required="auto", only_thinking=True)]),
        thinks="always",
    ),
    Contract(("kimi-*",), sampling([ToolChoice(named="auto", required="auto", only_thinking=True)])),
    # moonshot-v1 took sampling parameters freely.
    Contract(("*",), (SystemRole(), NoEmptyText())),
)
