"""Moonshot's open platform, global or China: API keys, billed by the token. Spoken to in OpenAI chat."""

from moongate.upstreams.chat_api import ChatApi, StandingCall
from moongate.upstreams.moonshot import balance
from moongate.upstreams.moonshot.contracts import CONTRACTS
from moongate.upstreams.moonshot.refusals import REFUSALS

NAME = "moonshot"


def moonshot(base_url: str, user_agent: str, name: str = NAME) -> ChatApi:
    """`base_url` ends in `/v1`. `name` differs where something else stands in for it, as the simulator does."""
    truth = StandingCall(balance.PATH, balance.reader(base_url))
    return ChatApi(name, base_url, user_agent, CONTRACTS, REFUSALS, truth)
