"""Numbers and moments in every form that vendors write them in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.wire.moments import http_date, moment
from moongate.wire.numbers import number


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (1, 1.0),
        (0.5, 0.5),
        ("0.5", 0.5),
        ("-3", -3.0),
        (" 7 ", 7.0),
        ("", None),
        ("7 %", None),
        ("nan", None),
        ("-inf", None),
        (float("inf"), None),
        (10**400, None),
        (True, None),
        (None, None),
        ([1], None),
    ],
)
def test_a_number_may_be_written_as_text(written: object, read: float | None) -> None:
    assert number(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-01-09T15:23:13.716839300Z", 1767972193.716839),
        ("2026-01-09T15:23:13Z", 1767972193.0),
        ("2026-01-09T23:23:13+08:00", 1767972193.0),
        ("2026-01-09T15:23:13", 1767972193.0),
        (1767972193, 1767972193.0),
        (1767972193000, 1767972193.0),
        ("1767972193", 1767972193.0),
        ("0001-01-01T00:00:00Z", None),
        (0, None),
        (-5, None),
        ("tomorrow", None),
        ("", None),
        (None, None),
        (True, None),
        ({}, None),
    ],
)
def test_a_moment_is_read_from_text_and_from_numbers(written: object, read: float | None) -> None:
    assert moment(written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1792567680.0),
        ("Wednesday, 21-Oct-26 07:28:00 GMT", 1792567680.0),
        ("Wed Oct 21 07:28:00 2026", 1792567680.0),
        ("soon", None),
        ("", None),
        ("120", None),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_a_date_of_a_header_is_read(written: str, read: float | None) -> None:
    assert http_date({"date": written}, "date") == read


def test_a_header_that_is_not_there_holds_no_date() -> None:
    assert http_date({}, "date") is None


@given(st.text(max_size=40) | st.integers() | st.floats() | st.none())
def test_anything_is_a_moment_or_none(written: object) -> None:
    read = moment(written)
    assert read is None or 0 < read < float("inf")


@given(st.text(max_size=40) | st.from_regex(r"\A[A-Za-z]{3}, [0-9]{1,3} [A-Za-z]{3} [0-9]{1,6} [0-9:.+-]{0,12}\Z"))
def test_any_header_is_a_date_or_none(written: str) -> None:
    read = http_date({"date": written}, "date")
    assert read is None or abs(read) < 1e12
