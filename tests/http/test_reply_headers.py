"""What stands around a reply, whatever was put into it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.core.exchange import Attempt, Exchange
from moongate.core.route import Route
from moongate.http.reply import JSON, around, around_error, safe


def exchange(**fields: object) -> Exchange:
    return Exchange("req_1", "POST", "/v1/chat/completions", 0.0, **fields)  # type: ignore[arg-type]


def test_a_reply_tells_how_it_came_about() -> None:
    facts = exchange(
        route=Route("moonshot", "kimi-k3"), attempts=[Attempt("a", "r", 1.0)] * 2, notes=["one", "two: 月\r\nx: y"]
    )
    assert around(facts, JSON) == [
        (b"content-type", b"application/json"),
        (b"x-request-id", b"req_1"),
        (b"x-moongate-route", b"moonshot/kimi-k3"),
        (b"x-moongate-attempts", b"2"),
        (b"x-moongate-notes", rb"one; two: \u6708?x: y"),
    ]


def test_attempts_are_not_counted_while_there_may_be_more() -> None:
    early = exchange(attempts=[Attempt("a", "r", 1.0, "overloaded")])
    assert b"x-moongate-attempts" not in dict(around(early))
    early.failure = GatewayError(Kind.OVERLOADED, "m")
    assert dict(around(early))[b"x-moongate-attempts"] == b"1"


def test_what_did_not_happen_is_not_told() -> None:
    assert around(exchange()) == [(b"x-request-id", b"req_1")]


@pytest.mark.parametrize(
    ("kind", "retry_after", "headers"),
    [
        (Kind.INVALID_REQUEST, None, {b"x-moongate-origin": b"caller"}),
        (Kind.RATE_LIMITED, 1.2, {b"x-moongate-origin": b"upstream", b"retry-after": b"2"}),
        (Kind.NO_ACCOUNT, 0, {b"x-moongate-origin": b"gateway", b"retry-after": b"0"}),
    ],
)
def test_an_error_tells_whose_it_is_and_when_to_come_back(
    kind: Kind, retry_after: float | None, headers: dict[bytes, bytes]
) -> None:
    found = dict(around_error(exchange(), GatewayError(kind, "m", retry_after=retry_after), 12))
    assert headers.items() <= found.items()
    assert found[b"content-length"] == b"12"
    assert (b"retry-after" in found) is (retry_after is not None)


@given(st.text(max_size=50) | st.text(min_size=2500, max_size=2600))
def test_a_header_value_is_printable_ascii_of_bounded_length(text: str) -> None:
    shown = safe(text)
    assert len(shown) <= 2000
    assert all(0x20 <= ord(character) <= 0x7E for character in shown)
