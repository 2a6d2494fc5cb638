"""Keeps a session on one account, so that the vendor's prompt cache, which each account has for itself, is hit.

A session is known by a key the caller sends, or else by what has been said so far: a request whose messages begin with
all the messages of an earlier one continues it.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b

from msgspec import Struct

REMEMBERED = 50_000
"""Sessions, or states of one; the ones not used for longest go first. Some 15 MB when full."""

HOMES = 3
"""Accounts remembered of one session: where it is kept, and where it spilled to."""

LOOKED_BACK = 64
"""Earlier states of a conversation that are looked for, from the latest on."""

SESSION_HEADERS = (
    "x-session-id",
    "session-id",
    "session_id",
    "x-claude-code-session-id",
    "thread-id",
    "conversation_id",
    "x-conversation-id",
    "x-session-affinity",
)
"""In which agents name a session; the first that is there wins. Seen from OpenCode, Codex and Claude Code, or usual."""


class Session(Struct, frozen=True):
    """`sought`: digests under which it may be known, the best first. `kept`: the one to keep it under."""

    sought: tuple[bytes, ...] = ()
    kept: bytes = b""


STRANGER = Session()


def session(caller: str, key: str, headers: Mapping[str, str], turns: Callable[[], Sequence[bytes]]) -> Session:
    """By `key`, else a header, else what was said: `turns` gives the messages as they came, the oldest first."""
    named = key or next((headers[name] for name in SESSION_HEADERS if headers.get(name)), "")
    if named:
        digest = _digest(caller, "named", named)
        return Session((digest,), digest)
    return _by_words(caller, turns())


def _by_words(caller: str, turns: Sequence[bytes]) -> Session:
    rolling = blake2b(f"{caller}\0said".encode(), digest_size=16)
    digests = []
    for turn in turns:
        rolling.update(len(turn).to_bytes(8) + turn)
        digests.append(rolling.digest())
    if not digests:
        return STRANGER
    # The whole of it is not sought: the same question asked twice is two conversations.
    return Session(tuple(digests[-2 : -2 - LOOKED_BACK : -1]), digests[-1])


def _digest(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Affinity:
    """Which accounts hold which session."""

    def __init__(self) -> None:
        self._homes: OrderedDict[bytes, tuple[str, ...]] = OrderedDict()

    def homes(self, session: Session) -> tuple[str, ...]:
        return next((self._homes[digest] for digest in session.sought if digest in self._homes), ())

    def keep(self, session: Session, homes: tuple[str, ...], account: str, *, moved: bool) -> None:
        """The session was served by `account`, whose cache now holds it. `moved`: its home could not, and is not to be
        returned to; else it only spilled over."""
        if not session.kept:
            return
        others = tuple(home for home in homes if home != account)
        is_home = moved or not homes or homes[0] == account
        kept = (account, *others) if is_home else (homes[0], account, *others[1:])
        self._homes[session.kept] = kept[:HOMES]
        self._homes.move_to_end(session.kept)
        while len(self._homes) > REMEMBERED:
            self._homes.popitem(last=False)
