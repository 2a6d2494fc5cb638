"""A request's body is read to its end, up to a limit."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.http.body import READ_AWAY, read_body
from moongate.http.line import HungUp

LIMIT = 100


class Sent:
    """A client that sends these parts, and then hangs up if it is told to."""

    def __init__(self, *parts: bytes, hangs_up: bool = False) -> None:
        last = len(parts) - 1
        self.messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": part, "more_body": hangs_up or place < last}
            for place, part in enumerate(parts or (b"",))
        ]
        self.messages.append({"type": "http.disconnect"})

    async def receive(self) -> dict[str, Any]:
        return self.messages.pop(0)


async def read(sent: Sent, limit: int = LIMIT, **headers: str) -> bytes:
    named: Mapping[str, str] = {name.replace("_", "-"): value for name, value in headers.items()}
    return await read_body(sent.receive, named, limit)


async def refused(sent: Sent, **headers: str) -> GatewayError:
    with pytest.raises(GatewayError) as failure:
        await read(sent, **headers)
    return failure.value


@given(st.lists(st.binary(max_size=9), max_size=8))
async def test_a_body_is_the_sum_of_its_parts(parts: list[bytes]) -> None:
    assert await read(Sent(*parts)) == b"".join(parts)


async def test_a_part_may_leave_out_what_is_empty() -> None:
    sent = Sent()
    sent.messages = [{"type": "http.request", "more_body": True}, {"type": "http.request", "body": b"a"}]
    assert await read(sent) == b"a"


async def test_the_limit_is_the_last_size_that_is_read() -> None:
    assert len(await read(Sent(b"x" * LIMIT))) == LIMIT
    assert len(await read(Sent(b"x" * (LIMIT - 1), b"x"))) == LIMIT
    for sent in (Sent(b"x" * (LIMIT + 1)), Sent(b"x" * LIMIT, b"x"), Sent(b"x" * LIMIT, b"", b"x")):
        error = await refused(sent)
        assert (error.kind, error.status) == (Kind.TOO_LARGE, 413)
        assert str(LIMIT) in error.message


async def test_a_somewhat_oversized_body_is_read_away_before_it_is_refused() -> None:
    sent = Sent(*[b"x" * LIMIT] * READ_AWAY)
    await refused(sent)
    assert sent.messages == [{"type": "http.disconnect"}]


async def test_an_endless_body_is_not_read_to_its_end() -> None:
    sent = Sent(*[b"x" * LIMIT] * 50)
    await refused(sent)
    assert len(sent.messages) > 40


async def test_a_body_announced_as_much_too_large_is_not_read_at_all() -> None:
    sent = Sent(b"x")
    assert (await refused(sent, content_length=str(LIMIT * READ_AWAY + 1))).kind is Kind.TOO_LARGE
    assert len(sent.messages) == 2


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP", "identity, gzip"])
async def test_a_compressed_body_is_refused(encoding: str) -> None:
    error = await refused(Sent(b"x"), content_encoding=encoding)
    assert (error.kind, error.param) == (Kind.INVALID_REQUEST, "content-encoding")


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
async def test_a_body_that_is_not_compressed_may_say_so(encoding: str) -> None:
    assert await read(Sent(b"x"), content_encoding=encoding) == b"x"


async def test_a_caller_who_leaves_in_the_middle_has_hung_up() -> None:
    with pytest.raises(HungUp):
        await read(Sent(b"x", hangs_up=True))


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    sent = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> dict[str, Any]:
        return sent.pop() if sent else await asyncio.sleep(60, {})

    with pytest.raises(GatewayError) as failure:
        await read_body(receive, {}, LIMIT, slow=0.05)
    assert (failure.value.kind, failure.value.status) == (Kind.TOO_SLOW, 408)
