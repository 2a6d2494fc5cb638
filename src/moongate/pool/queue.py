"""A queue that is fair between callers: each has a lane, and the lanes take turns. Who asks a thousand times at once
waits behind himself, not everybody else behind him."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    def __init__(self) -> None:
        self._lanes: OrderedDict[str, deque[T]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, lane: str, item: T) -> None:
        self._lanes.setdefault(lane, deque()).append(item)
        self._length += 1

    def __iter__(self) -> Iterator[tuple[str, T]]:
        """Everybody in the order in which they are to be served; a snapshot, so that items may go meanwhile."""
        lanes = [(name, tuple(items)) for name, items in self._lanes.items()]
        for place in range(max((len(items) for _, items in lanes), default=0)):
            for name, items in lanes:
                if place < len(items):
                    yield name, items[place]

    def served(self, lane: str, item: T) -> None:
        """Take it out; its lane goes behind the others."""
        if self.remove(lane, item) and lane in self._lanes:
            self._lanes.move_to_end(lane)

    def remove(self, lane: str, item: T) -> bool:
        """Take it out; False if it is not there."""
        waiting = self._lanes.get(lane)
        if waiting is None or item not in waiting:
            return False
        waiting.remove(item)
        self._length -= 1
        if not waiting:
            del self._lanes[lane]
        return True
