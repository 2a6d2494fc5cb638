"""How much an account is given: what the operator allows and, for a while, what its vendor said that it allows.

A vendor tells its limits only where they are reached. Kept to from then on, they are reached no more.
"""

import math

from msgspec import Struct

from moongate.core.limit import Limit, LimitName
from moongate.pool.account import Account
from moongate.pool.pace import Entry, Pace

LEARNED = 600.0
"""Seconds for which a limit is kept that the vendor told: an account may be given more any day, and says so to nobody.
When it is forgotten, the next refusal tells it again."""


class Learned(Struct, frozen=True):
    """`until` on the pool's clock."""

    amount: int
    until: float


class Limits:
    """Requests at a time (`max_concurrency`, None for any number), and requests and tokens a minute.

    What was given is counted whether there is a limit or not, so that one that is set later counts it too.
    """

    def __init__(self, account: Account) -> None:
        self.max_concurrency: int | None = None
        self.forgets_at = math.inf
        """When the next limit that was learned is forgotten."""
        self._account = account
        self._requests = Pace()
        self._tokens = Pace()
        self._learned: dict[LimitName, Learned] = {}
        self._binding: dict[LimitName, Learned] = {}  # those of them that are less than the operator's
        self._keep()

    def become(self, account: Account) -> None:
        """The operator has changed them."""
        self._account = account
        self._keep()

    def heed(self, limit: Limit, now: float) -> bool:
        """Keep to what the vendor said. Whether that is news. What allows nothing is no limit to keep to: nobody would
        ever ask again."""
        if limit.amount < 1:
            return False
        known = self._learned.get(limit.name)
        self._learned[limit.name] = Learned(limit.amount, now + LEARNED)
        self._keep()
        return known is None or known.amount != limit.amount

    def forget(self, now: float) -> None:
        """What was learned too long ago, or with an infinite `now` all of it."""
        self._learned = {name: learned for name, learned in self._learned.items() if learned.until > now}
        self._keep()

    def opens(self, tokens: int, now: float) -> float:
        """When they allow another request of so many tokens: `now`, or later."""
        if self._requests.limit is None and self._tokens.limit is None:
            return now
        return max(self._opens("rpm", self._requests, 1, now), self._opens("tpm", self._tokens, tokens, now))

    def take(self, tokens: int, now: float) -> Entry:
        """One request; the entry is for its tokens, to be settled when they are known."""
        self._requests.take(1, now)
        return self._tokens.take(tokens, now)

    def settle(self, entry: Entry, tokens: int, now: float) -> None:
        self._tokens.settle(entry, tokens, now)

    def _opens(self, name: LimitName, pace: Pace, amount: int, now: float) -> float:
        moment = pace.opens(amount, now)
        learned = self._binding.get(name) if moment > now else None
        return moment if learned is None else min(moment, learned.until)

    def _keep(self) -> None:
        account = self._account
        ours: dict[LimitName, int | None] = {
            "concurrency": account.max_concurrency,
            "rpm": account.rpm,
            "tpm": account.tpm,
        }
        self._binding = {name: learned for name, learned in self._learned.items() if _is_less(learned, ours[name])}
        least = ours | {name: learned.amount for name, learned in self._binding.items()}
        self.max_concurrency = least["concurrency"]
        self._requests.limit, self._tokens.limit = least["rpm"], least["tpm"]
        self.forgets_at = min((learned.until for learned in self._learned.values()), default=math.inf)


def _is_less(learned: Learned, ours: int | None) -> bool:
    return ours is None or learned.amount < ours
