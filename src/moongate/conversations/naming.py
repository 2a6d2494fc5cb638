"""Which conversation a request belongs to: the one its path names, or where that is wanted its user's."""

import re
from hashlib import blake2b

from moongate.conversations.record import Key
from moongate.core.errors import GatewayError, Kind
from moongate.core.identity import Caller

_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}", re.ASCII)

ALLOWED = "up to 128 letters, digits and . _ : ~ -, a letter or digit first"


def named(caller: Caller, id: str) -> Key:
    """Raises GatewayError (INVALID_REQUEST) for what is no name of a conversation."""
    if not _NAMED.fullmatch(id):
        message = f"conversation_id: a conversation is named by {ALLOWED}"
        raise GatewayError(Kind.INVALID_REQUEST, message, param="conversation_id")
    return Key(caller.owner, id)


def of_user(caller: Caller, user: str) -> Key:
    """A name for whatever a caller calls its user."""
    return Key(caller.owner, f"user-{blake2b(user.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}")
