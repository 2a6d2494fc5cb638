"""What a reply costs: what the upstream told of that, or an estimate by what there was of it where it broke before."""

from msgspec import Struct

from moongate.core import estimate
from moongate.core.errors import GatewayError
from moongate.core.events import Anchored, BlockDelta, Ended, FinishReason, Packet, Usage


class Cost(Struct, frozen=True):
    usage: Usage
    is_estimate: bool = False

    @property
    def tokens(self) -> int:
        return self.usage.input + self.usage.output


class Tally:
    """Of the reply to one request, whose body is `asked`. `anchored`: where the upstream remembers it, as far as that
    is known by now."""

    def __init__(self, asked: bytes) -> None:
        self._asked = asked
        self._characters = 0
        self._ended: Ended | None = None
        self.anchored: Anchored | None = None

    @property
    def reason(self) -> FinishReason | None:
        return self._ended.reason if self._ended else None

    def watch(self, packet: Packet) -> None:
        for event in packet.events:
            if type(event) is BlockDelta:
                self._characters += len(event.text)
            elif type(event) is Ended:
                self._ended = event
            elif type(event) is Anchored:
                self.anchored = event

    def cost(self, failure: GatewayError | None = None) -> Cost | None:
        """None where it is not known: of a reply that came to its end without a word on it, and of one that said
        nothing. `failure`: what it broke by."""
        if self._ended is not None:
            return _told(self._ended.usage) if self._ended.usage else None
        if failure is not None and failure.usage is not None:
            return _told(failure.usage)
        if self._characters:
            return Cost(Usage(estimate.asked(self._asked), estimate.told(self._characters)), is_estimate=True)
        return None


def _told(usage: Usage) -> Cost:
    return Cost(usage, usage.is_estimate)
