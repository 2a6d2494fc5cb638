"""Who waits for an account: for how long, behind whom, and how it ends."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.pool.account import Account
from moongate.pool.credentials import FixedKey
from moongate.pool.pool import Pool, PoolStatistics
from pooling import (
    CODING,
    K3,
    LIMITED,
    account,
    asking,
    now,
    play,
    pool,
    refusal,
    serve,
    turns,
)


def test_who_waits_is_served_when_an_account_is_returned() -> None:
    async def act() -> None:
        of = pool("a", max_concurrency=1)
        first = asyncio.create_task(serve(of, lasts=3))
        await asyncio.sleep(0)
        assert await serve(of, wait=10) == "a"
        assert now() == 3
        await first

    assert play(act()) == 3


def test_who_waits_is_served_when_a_rest_is_over() -> None:
    async def act() -> None:
        of = pool("a")
        await serve(of, LIMITED)
        assert await turns(of, 3, wait=10) == "aaa"

    assert play(act()) == pytest.approx(5)


def test_who_may_be_served_by_a_busy_account_waits_though_another_rests_for_long() -> None:
    async def act() -> None:
        of = pool("a", "b", max_concurrency=1)
        await serve(of, GatewayError(Kind.RATE_LIMITED, "slow down", retry_after=40))
        first = asyncio.create_task(serve(of, lasts=3))
        await asyncio.sleep(0)
        assert await serve(of, wait=30) == "b"
        await first

    assert play(act()) == 3


def test_who_waits_is_served_too_when_a_rest_ends_that_was_not_worth_waiting_for() -> None:
    async def act() -> None:
        of = pool("a", "b", max_concurrency=1)
        async with of.lease(asking()):
            await serve(of, GatewayError(Kind.CREDENTIAL_REFUSED, "no"), avoid={("a", K3): float("inf")})
            assert await serve(of, wait=60) == "b"
            assert now() == 30

    play(act())


def test_who_waits_out_a_pause_of_their_own_holds_up_nobody() -> None:
    async def act() -> None:
        of = pool("a")
        pausing = asyncio.create_task(serve(of, wait=5, avoid={("a", K3): 5.0}))
        await asyncio.sleep(0.5)
        assert await serve(of) == "a"
        await pausing

    play(act())


def test_nobody_waits_for_what_will_not_come_in_time() -> None:
    async def act() -> None:
        of = pool("a")
        await serve(of, LIMITED)
        error = await refusal(of, wait=4)
        assert error.retry_after == 5
        assert "slow down" in error.message

    assert play(act()) == 0


def test_nobody_waits_for_what_waiting_does_not_mend() -> None:
    async def act() -> None:
        of = pool("a", "b", "c")
        for _ in range(3):
            await serve(of, GatewayError(Kind.BALANCE_EXHAUSTED, "no money"))
        error = await refusal(of, wait=100)
        assert error.message.count("no money") == 3
        assert error.retry_after == 60

    assert play(act()) == 0


def test_a_wait_has_an_end_and_then_tells_when_it_may_be_worth_asking_again() -> None:
    async def act() -> None:
        of = pool("a", max_concurrency=1)
        async with of.lease(asking()):
            error = await refusal(of, wait=7)
            assert error.retry_after == 1
            assert of.statistics() == PoolStatistics(accounts=1, leased=1, waiting=0)

    assert play(act()) == 7


def test_what_comes_at_the_very_end_of_a_wait_is_still_taken() -> None:
    async def act() -> None:
        of = pool("a")
        await serve(of, LIMITED)
        assert await serve(of, wait=5) == "a"

    assert play(act()) == pytest.approx(5)


def test_when_the_gateway_stops_nobody_waits_any_more_and_who_is_served_is_served_on() -> None:
    async def act() -> None:
        of = pool("a", max_concurrency=1)
        async with of.lease(asking()):
            waiting = [asyncio.create_task(serve(of, wait=100)) for _ in range(3)]
            await asyncio.sleep(1)
            of.stop()
            told = await asyncio.gather(*waiting, return_exceptions=True)
            assert {str(error) for error in told} == {"the gateway is stopping, and no account is free now"}
            assert "stopping" in (await refusal(of, wait=100)).message
        assert await turns(of, 1) == "a"

    assert play(act()) == 1


def test_callers_are_served_in_turn_and_nobody_overtakes_in_the_own_lane() -> None:
    async def act() -> None:
        of = pool("a", max_concurrency=1)
        served: list[str] = []

        async def one(lane: str, number: int) -> None:
            async with of.lease(asking(lane=lane, wait=1000)):
                served.append(f"{lane}{number}")
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(one("x", number))
            await asyncio.sleep(0.5)
            for number in range(2):
                group.create_task(one("y", number))
        assert served == ["x0", "x1", "y0", "x2", "y1", "x3"]

    play(act())


def test_who_comes_later_does_not_overtake_who_waits() -> None:
    async def act() -> None:
        of = pool("a", rpm=1)
        await serve(of)
        waiting = asyncio.create_task(serve(of, wait=100))
        await asyncio.sleep(61 - 1e-9)
        error = await refusal(of, wait=0)
        assert error.retry_after is not None
        assert await waiting == "a"

    play(act())


def test_one_who_cannot_be_served_holds_up_nobody_else() -> None:
    async def act() -> None:
        of = Pool([account("a", max_concurrency=1), Account("c", CODING, FixedKey(Sealed("x")), max_concurrency=1)])
        async with of.lease(asking()):
            stuck = asyncio.create_task(serve(of, wait=100))
            await asyncio.sleep(1)
            async with of.lease(asking(Route("kimi-code", "k3"), wait=100)) as lease:
                assert (lease.account.name, now()) == ("c", 1)
        await stuck

    play(act())


def test_who_goes_while_waiting_leaves_nothing_behind() -> None:
    async def act() -> None:
        of = pool("a", max_concurrency=1)
        async with of.lease(asking()):
            waiting = [asyncio.create_task(serve(of, wait=100)) for _ in range(10)]
            await asyncio.sleep(1)
            assert of.statistics().waiting == 10
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            assert of.statistics() == PoolStatistics(accounts=1, leased=1, waiting=0)
        assert of.statistics().leased == 0

    play(act())


def test_an_account_that_comes_in_the_moment_its_waiter_goes_is_not_lost() -> None:
    async def act() -> None:
        of = pool("a", max_concurrency=1)
        first = AsyncExitStack()
        await first.enter_async_context(of.lease(asking()))
        waiting = asyncio.create_task(serve(of, wait=100, lasts=50))
        await asyncio.sleep(1)
        await first.aclose()  # the account is the waiter's now, who has not run yet
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert of.statistics() == PoolStatistics(accounts=1, leased=0, waiting=0)
        assert await turns(of, 1) == "a"

    play(act())


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(0, 5), st.booleans()), max_size=40), st.integers(1, 3))
def test_however_callers_come_and_go_all_is_returned(comings: list[tuple[str, int, bool]], limit: int) -> None:
    async def act() -> None:
        of = pool("a", "b", max_concurrency=limit)

        async def one(lane: str, lasts: float) -> None:
            async with of.lease(asking(lane=lane, wait=3)):
                assert of.statistics().leased <= 2 * limit
                await asyncio.sleep(lasts)

        tasks = []
        for lane, lasts, goes in comings:
            tasks.append(asyncio.create_task(one(lane, lasts)))
            await asyncio.sleep(0.25)
            if goes:
                tasks[len(tasks) // 2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert of.statistics() == PoolStatistics(accounts=2, leased=0, waiting=0)

    play(act())


# Sessions
