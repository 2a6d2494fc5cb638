"""The queue is fair between callers, and keeps the order of each."""

from hypothesis import given
from hypothesis import strategies as st

from moongate.pool.queue import FairQueue


def _queue(*items: tuple[str, int]) -> FairQueue[int]:
    queue: FairQueue[int] = FairQueue()
    for lane, item in items:
        queue.put(lane, item)
    return queue


def test_who_asks_once_is_served_before_the_second_of_who_asks_often() -> None:
    queue = _queue(("a", 1), ("a", 2), ("a", 3), ("b", 4))
    assert [item for _, item in queue] == [1, 4, 2, 3]


def test_a_lane_that_was_served_goes_behind_the_others() -> None:
    queue = _queue(("a", 1), ("a", 2), ("b", 3))
    queue.served("a", 1)
    assert [item for _, item in queue] == [3, 2]


def test_who_leaves_is_no_longer_there() -> None:
    queue = _queue(("a", 1), ("b", 2))
    assert queue.remove("a", 1)
    assert not queue.remove("a", 1)
    assert [item for _, item in queue] == [2]
    assert len(queue) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers()), unique_by=lambda pair: pair[1]))
def test_everybody_is_served_once_each_lane_in_its_order_and_no_lane_twice_while_another_waits(
    items: list[tuple[str, int]],
) -> None:
    queue = _queue(*items)
    served = []
    while len(queue):
        lane, item = next(iter(queue))
        queue.served(lane, item)
        served.append((lane, item))
    for name in "abc":
        assert [item for lane, item in served if lane == name] == [item for lane, item in items if lane == name]
    for place in range(len(served) - 1):
        waiting = {lane for lane, _ in served[place + 1 :]}
        if served[place][0] == served[place + 1][0]:
            assert waiting == {served[place][0]}
