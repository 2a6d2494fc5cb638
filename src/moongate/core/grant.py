"""A login that renews itself: a short-lived token, and a longer-lived one that buys the next pair."""

from msgspec import Struct

from moongate.core.sealed import Sealed


class Grant(Struct, frozen=True):
    """What an OAuth server granted. `expires_at` is in seconds since 1970, `lifetime` how long `access` lives from its
    issue; `device` names this installation to the vendor, and is kept from one grant to the next."""

    access: Sealed
    refresh: Sealed
    expires_at: float
    lifetime: float
    device: str = ""
