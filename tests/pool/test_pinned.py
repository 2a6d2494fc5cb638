"""A conversation that one account's upstream remembers goes on there, for as long as that account serves."""

import asyncio
from typing import Any

from moongate.core.errors import GatewayError, Kind
from moongate.core.route import Route
from moongate.pool.pool import Pool
from pooling import BARRED, K3, LIMITED, asking, now, play, pool, serve


def pinned(to: str, wait: float = 20.0) -> dict[str, Any]:
    return {"pinned": to, "pinned_until": now() + wait / 2, "wait": wait}


def test_it_is_the_account_asked_though_others_are_free() -> None:
    async def act() -> None:
        of = pool("a", "b", "c")
        assert [await serve(of, **pinned("b")) for _ in range(5)] == ["b"] * 5

    play(act())


def test_it_is_waited_for_while_it_is_busy() -> None:
    async def act() -> None:
        of = pool("a", "b", max_concurrency=1)
        busy = asyncio.create_task(serve(of, lasts=4, **pinned("a")))
        await asyncio.sleep(0)
        assert await serve(of, **pinned("a")) == "a"
        assert now() == 4
        await busy

    play(act())


def test_for_half_of_the_patience_and_then_whoever_is_free_answers() -> None:
    async def act() -> None:
        of = pool("a", "b", max_concurrency=1)
        busy = asyncio.create_task(serve(of, lasts=100, **pinned("a")))
        await asyncio.sleep(0)
        assert await serve(of, **pinned("a", wait=20)) == "b"
        assert now() == 10
        busy.cancel()

    play(act())


def test_without_patience_it_is_asked_and_not_waited_for() -> None:
    async def act() -> None:
        of = pool("a", "b", max_concurrency=1)
        assert [await serve(of, **pinned("b", wait=0)) for _ in range(3)] == ["b"] * 3
        busy = asyncio.create_task(serve(of, lasts=100, **pinned("a")))
        await asyncio.sleep(0)
        assert await serve(of, **pinned("a", wait=0)) == "b"
        busy.cancel()

    play(act())


def test_one_at_rest_or_gone_is_not_waited_for() -> None:
    async def act() -> None:
        of = pool("a", "b")
        for error in (LIMITED, BARRED):
            assert await serve(of, error, **pinned("a")) == "a"
            assert await serve(of, **pinned("a")) == "b"
            assert of.reset("a")
        assert await serve(of, **pinned("nobody")) in "ab"
        assert now() == 0

    play(act())


def test_one_that_failed_this_very_request_is_left() -> None:
    async def act() -> None:
        assert await serve(pool("a", "b"), avoid={("a", K3): now() + 0.2}, **pinned("a")) == "b"
        assert now() == 0

    play(act())


def test_the_minute_it_has_had_its_requests_of_is_waited_out_if_that_is_soon() -> None:
    async def act() -> None:
        of = pool("a", "b", rpm=1)
        assert await serve(of, **pinned("a")) == "a"
        await asyncio.sleep(55)
        assert await serve(of, **pinned("a", wait=20)) == "a"  # after six seconds more
        assert await serve(of, **pinned("a", wait=20)) == "b"  # after a minute more would be too late

    play(act())


def test_any_of_the_routes_leads_there() -> None:
    async def act() -> None:
        of = pool("a", "b")
        other = Route("moonshot", "kimi-k2.6")
        assert await serve(of, routes=(K3, other), **pinned("b")) == "b"

    play(act())


def test_who_waits_for_one_account_holds_up_nobody_who_does_not() -> None:
    async def act() -> None:
        of = pool("a", "b", max_concurrency=1)
        busy = asyncio.create_task(serve(of, lasts=8, **pinned("a")))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(serve(of, **pinned("a")))
        await asyncio.sleep(0)
        assert await serve(of, wait=5) == "b"
        assert now() == 0
        assert (await waiting, await busy) == ("a", "a")

    play(act())


def test_a_reply_that_is_still_being_stopped_keeps_its_account_busy() -> None:
    async def act() -> None:
        of: Pool = pool("a", max_concurrency=1)
        async with of.lease(asking()) as lease:
            of.occupy(lease, asyncio.create_task(asyncio.sleep(3)))
        assert await serve(of, wait=10) == "a"
        assert now() == 3
        assert of.statistics().leased == 0

    play(act())


def test_a_failure_of_the_callers_own_says_nothing_of_the_account() -> None:
    async def act() -> None:
        of = pool("a", "b")
        gone = GatewayError(Kind.CHAT_GONE, "not here")
        assert await serve(of, gone, **pinned("a")) == "a"
        assert await serve(of, **pinned("a")) == "a"

    play(act())
