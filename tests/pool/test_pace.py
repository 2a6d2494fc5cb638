"""So many a minute, exactly: whatever the times at which they come."""

from hypothesis import given
from hypothesis import strategies as st

from moongate.pool.pace import MINUTE, REMEMBERED, Pace


def test_is_open_until_the_limit_and_again_a_minute_after_the_first() -> None:
    pace = Pace(2)
    pace.take(1, 10.0)
    assert pace.opens(1, 11.0) == 11.0
    pace.take(1, 11.0)
    assert pace.opens(1, 12.0) == 10.0 + MINUTE
    assert pace.opens(1, 10.0 + MINUTE) == 10.0 + MINUTE


def test_waits_for_as_many_to_age_as_are_needed() -> None:
    pace = Pace(100)
    for moment in (1.0, 2.0, 3.0):
        pace.take(30, moment)
    assert pace.opens(10, 4.0) == 4.0
    assert pace.opens(40, 4.0) == 1.0 + MINUTE
    assert pace.opens(60, 4.0) == 2.0 + MINUTE


def test_more_than_the_limit_goes_alone() -> None:
    pace = Pace(100)
    assert pace.opens(5000, 1.0) == 1.0
    pace.take(5000, 1.0)
    assert pace.opens(1, 2.0) == 1.0 + MINUTE


def test_what_it_really_was_takes_the_place_of_the_estimate() -> None:
    pace = Pace(100)
    entry = pace.take(90, 1.0)
    pace.settle(entry, 20, 5.0)
    assert pace.opens(80, 6.0) == 6.0
    assert pace.opens(81, 6.0) == 1.0 + MINUTE


def test_what_is_known_after_more_than_a_minute_no_longer_counts() -> None:
    pace = Pace(100)
    entry = pace.take(90, 1.0)
    pace.settle(entry, 1000, 2.0 + MINUTE)
    assert pace.opens(100, 2.0 + MINUTE) == 2.0 + MINUTE


def test_without_a_limit_all_is_open_and_counted_for_one_that_is_set_later() -> None:
    pace = Pace()
    for moment in range(REMEMBERED + 100):
        pace.take(1, moment / 1000)
    assert pace.opens(10**9, 6.0) == 6.0
    pace.limit = 2
    assert pace.opens(1, 6.0) > 60


def test_what_was_forgotten_is_settled_without_a_trace() -> None:
    pace = Pace()
    first = pace.take(1, 0.0)
    for _ in range(REMEMBERED + 100):
        pace.take(1, 0.0)  # all in one moment
    pace.settle(first, 10**9, 1.0)
    pace.limit = REMEMBERED + 10
    assert pace.opens(1, 1.0) == 1.0


@given(st.integers(1, 5), st.lists(st.floats(0, 30), max_size=40))
def test_no_minute_ever_holds_more_than_the_limit(limit: int, gaps: list[float]) -> None:
    pace, now, taken = Pace(limit), 0.0, []
    for gap in gaps:
        now = max(now + gap, pace.opens(1, now + gap))
        pace.take(1, now)
        taken.append(now)
    assert all(sum(first <= moment < first + MINUTE for moment in taken) <= limit for first in taken)
