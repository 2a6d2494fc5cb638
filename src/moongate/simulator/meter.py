"""Counting what came in the last so many seconds, in memory that does not grow with it."""

from collections import deque
from typing import Final

import msgspec

_SLOTS: Final = 60


class Meter(msgspec.Struct):
    """`length` is in seconds. What came in the same sixtieth of it is forgotten at once, when the last of it is so old.

    Times are in seconds since any moment, and must not go back.
    """

    length: float
    _slots: deque[tuple[float, int]] = msgspec.field(default_factory=deque)  # when it is forgotten, and how much
    _total: int = 0

    def add(self, amount: int, now: float) -> None:
        step = self.length / _SLOTS
        end = (now // step + 1) * step + self.length
        if self._slots and self._slots[-1][0] == end:
            amount_before = self._slots.pop()[1]
            self._slots.append((end, amount_before + amount))
        else:
            self._slots.append((end, amount))
        self._total += amount
        self._forget(now)

    def total(self, now: float) -> int:
        self._forget(now)
        return self._total

    def wait(self, most: int, now: float) -> float:
        """Seconds until no more than `most` is left, if nothing is added."""
        left = self.total(now)
        for end, amount in self._slots:
            if left <= most:
                break
            left, wait = left - amount, end - now
            if left <= most:
                return wait
        return 0.0

    def _forget(self, now: float) -> None:
        while self._slots and self._slots[0][0] <= now:
            self._total -= self._slots.popleft()[1]
