"""Each kind of failure says whose it is and what a retry could change."""

import pytest

from moongate.core.errors import GatewayError, Kind


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.code)
def test_a_kind_is_consistent(kind: Kind) -> None:
    assert 400 <= kind.status < 600
    if kind.origin == "caller":
        assert kind.status < 500
        assert kind.retry == "never"
    if kind.origin == "gateway":
        assert kind.status >= 500


def test_codes_are_unique() -> None:
    assert len({kind.code for kind in Kind}) == len(Kind)


def test_an_error_has_its_kinds_status_unless_it_was_given_one() -> None:
    assert GatewayError(Kind.RATE_LIMITED, "m").status == 429
    assert GatewayError(Kind.CREDENTIAL_REFUSED, "m", status=401).status == 401
    assert repr(GatewayError(Kind.FAILED, "m")) == "GatewayError(FAILED, 'm')"
