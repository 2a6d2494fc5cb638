"""Kimi Code, the membership for coding agents: keys `sk-kimi-…`, quota windows. Spoken to in OpenAI chat."""

from moongate.upstreams.chat_api import ChatApi, StandingCall
from moongate.upstreams.kimi_code import usages
from moongate.upstreams.kimi_code.contracts import CONTRACTS
from moongate.upstreams.kimi_code.refusals import REFUSALS

NAME = "kimi-code"

GROUPS = (("*-highspeed", "highspeed"), ("*", "plan"))
"""Seen 2026: the weekly quota was used up and the highspeed model still served."""

TRUTH = StandingCall(usages.PATH, usages.read)


def kimi_code(base_url: str, user_agent: str) -> ChatApi:
    """`base_url` ends in `/coding/v1`."""
    return ChatApi(NAME, base_url, user_agent, CONTRACTS, REFUSALS, TRUTH, GROUPS)
