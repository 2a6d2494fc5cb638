"""How many requests, or tokens, an account may be given in a minute: exact arithmetic over a sliding window. Pure."""

from collections import deque

MINUTE = 61.0
"""Seconds. One more than the vendor's minute: a request that was slow to arrive stays longer in their window than in
ours, and the next would come too early."""


REMEMBERED = 1000
"""Entries kept while there is no limit, should one be set: who serves more than that in a minute has no small one."""


class Entry:
    """What one request took. Mutable: tokens are estimated first and known later, and it counts for a minute."""

    __slots__ = ("amount", "counts", "moment")

    def __init__(self, moment: float, amount: int) -> None:
        self.moment = moment
        self.amount = amount
        self.counts = True


class Pace:
    """At most `limit` within any minute, None for any number. What is taken counts under a limit that is set later (see
    `REMEMBERED`).
    Moments are those of one clock, in seconds."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self._entries: deque[Entry] = deque()
        self._taken = 0

    def opens(self, amount: int, now: float) -> float:
        """When there is room for `amount`: `now`, or a later moment. More than the limit fits where nothing else is."""
        if self.limit is None:
            return now
        self._forget(now)
        excess = self._taken + amount - self.limit
        if excess <= 0 or not self._entries:
            return now
        for entry in self._entries:
            excess -= entry.amount
            if excess <= 0:
                return entry.moment + MINUTE
        return self._entries[-1].moment + MINUTE

    def take(self, amount: int, now: float) -> Entry:
        self._forget(now)
        entry = Entry(now, amount)
        self._entries.append(entry)
        self._taken += amount
        return entry

    def settle(self, entry: Entry, amount: int, now: float) -> None:
        """What it really was. An entry that is no longer counted stays so."""
        self._forget(now)
        if entry.counts:
            self._taken += amount - entry.amount
            entry.amount = amount

    def _forget(self, now: float) -> None:
        entries, before = self._entries, now - MINUTE
        while entries and (entries[0].moment <= before or (self.limit is None and len(entries) > REMEMBERED)):
            entry = entries.popleft()
            entry.counts = False
            self._taken -= entry.amount
