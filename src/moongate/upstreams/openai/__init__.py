"""Any server that speaks OpenAI's chat interface: another vendor's, or one on the operator's own machine.

It is sent what the caller wrote, byte for byte: nothing is known of what its models accept.
"""

from moongate.core.errors import GatewayError
from moongate.core.route import ListedModel
from moongate.core.sealed import Sealed
from moongate.upstreams.chat_api import ChatApi
from moongate.upstreams.openai.refusals import REFUSALS
from moongate.wire.http import Flow


class Provider(ChatApi, frozen=True):
    """A `ChatApi` that need not tell which models it has."""

    def models(self, credential: Sealed) -> Flow[tuple[ListedModel, ...]]:
        """Empty where the server has no such list, as not every one does."""
        try:
            return (yield from ChatApi.models(self, credential))
        except GatewayError as error:
            if error.upstream_status in (404, 405):
                return ()
            raise


def provider(name: str, base_url: str, user_agent: str) -> ChatApi:
    """`name` is what the operator calls it, `base_url` what stands before `/chat/completions` there."""
    return Provider(name, base_url, user_agent, contracts=(), refusals=REFUSALS)
