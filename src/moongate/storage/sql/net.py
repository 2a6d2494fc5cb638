"""What many changes come to, conversation by conversation, so that each is written once."""

from collections.abc import Iterable

from msgspec import Struct, field

from moongate.conversations.record import Advanced, Change, Key, Removed, Said
from moongate.core.turn import Anchor


class Net(Struct):
    """`removes`: what was there goes first. `exists`: there is something afterwards, and all below says what: which
    messages go (from position `cut` on), which are put at which position, and the rest of the conversation.
    `created_at` counts only if it is new."""

    removes: bool = False
    exists: bool = False
    created_at: float = 0.0
    used_at: float = 0.0
    cut: int = 0
    said: dict[int, Said] = field(default_factory=dict)
    anchor: Anchor | None = None


def net_changes(changes: Iterable[Change]) -> dict[Key, Net]:
    """In order. Positions count, whether or not there is a message before each: that is why changes may be applied
    again from any of them on, over what later ones have already made of it."""
    nets: dict[Key, Net] = {}
    for change in changes:
        match change:
            case Advanced(key):
                net = nets.get(key) or Net()
                nets[key] = net
                _advance(net, change)
            case Removed(key):
                nets[key] = Net(removes=True)
    return nets


def _advance(net: Net, change: Advanced) -> None:
    if not net.exists:
        net.exists, net.created_at, net.cut = True, change.at, change.kept
    net.cut = min(net.cut, change.kept)
    net.said = {position: said for position, said in net.said.items() if position < change.kept}
    net.said |= dict(enumerate(change.said, change.kept))
    net.used_at, net.anchor = change.at, change.anchor
