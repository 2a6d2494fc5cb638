"""What Kimi Code's models accept. Less is recorded of it than of the platform; what is not is taken to be alike."""

from moongate.upstreams.contract import Contract, FreeChoice, NamedTool
from moongate.upstreams.kimi import sampling

CONTRACTS = (
    Contract(("k3*",), (NamedTool(), *sampling())),
    # `kimi-for-coding` is a moving alias: K2.7-code, since 2026-09 a preview of K2.8. Third parties report the pinned
    # temperature (1, and 0.6 with thinking off); how it takes a forced tool is inferred from K2.7-code.
    Contract(("*",), (FreeChoice(), *sampling(temperature_unthinking=0.6))),
)
