"""A caller's own request id is kept if it is fit for headers and logs."""

import pytest

from moongate.http.request_id import request_id


@pytest.mark.parametrize("said", ["a", "req_0123", "550e8400-e29b-41d4-a716-446655440000", "a.b:c_d-e", "x" * 128])
def test_a_well_formed_id_is_kept(said: str) -> None:
    assert request_id(said) == said


@pytest.mark.parametrize("said", [None, "", "x" * 129, "a b", "a\n", "a\r\nx: y", "é", "a;b", '"', "\x00", "a/../b"])
def test_any_other_is_replaced_by_a_new_one(said: str | None) -> None:
    made = request_id(said)
    assert made != said
    assert request_id(made) == made
    assert request_id(said) != made
