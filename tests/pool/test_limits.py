"""How much an account is given: what the operator allows, and what its vendor has told."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.core.limit import Limit, LimitName
from moongate.pool.pool import Pool
from pooling import (
    account,
    asking,
    now,
    play,
    pool,
    refusal,
    serve,
    turns,
)


def test_requests_a_minute_are_kept_to_before_the_vendor_has_to_say_so() -> None:
    async def act() -> None:
        of = pool("a", rpm=2)
        assert await turns(of, 2) == "aa"
        error = await refusal(of)
        assert error.retry_after == 61
        assert of.reports()[0].state == "busy"
        await asyncio.sleep(61)
        assert of.reports()[0].state == "ready"
        assert await turns(of, 1) == "a"

    play(act())


def test_tokens_a_minute_are_kept_to_by_what_was_really_used() -> None:
    async def act() -> None:
        of = pool("a", tpm=1000)
        async with of.lease(asking(tokens=900)) as lease:
            lease.spent = 100
        async with of.lease(asking(tokens=800)) as lease:
            lease.spent = 900
        assert (await refusal(of, tokens=1)).retry_after == 61

    play(act())


# Waiting


def test_what_was_spent_in_this_minute_counts_under_a_changed_limit_too() -> None:
    async def act() -> None:
        of = pool("a", tpm=1000)
        async with of.lease(asking(tokens=10)) as lease:
            of.adopt([account("a", tpm=2000)])
            lease.spent = 1500
        await refusal(of, tokens=600)
        assert await turns(of, 1, tokens=400) == "a"
        of.adopt([account("a")])
        assert await turns(of, 1, tokens=5000) == "a"

    play(act())


def reached(name: LimitName, amount: int, retry_after: float = 1) -> GatewayError:
    return GatewayError(Kind.RATE_LIMITED, "slow down", retry_after=retry_after, limit=Limit(name, amount))


async def most_at_a_time(of: Pool) -> int:
    async with AsyncExitStack() as held:
        for count in range(10):
            try:
                await held.enter_async_context(of.lease(asking()))
            except GatewayError:
                return count
    return 10


@pytest.mark.parametrize(
    ("configured", "told", "kept"),
    [(None, 3, 3), (2, 3, 2), (5, 3, 3), (None, 0, 10)],  # a limit of none at all is no limit: nobody would ask again
)
def test_a_limit_the_vendor_told_is_kept_to_for_ten_minutes(configured: int | None, told: int, kept: int) -> None:
    async def act() -> None:
        of = pool("a", max_concurrency=configured)
        await serve(of, reached("concurrency", told))
        await asyncio.sleep(2)
        await serve(of)  # the trial
        assert await most_at_a_time(of) == kept
        assert of.reports()[0].max_concurrency == (None if kept == 10 else kept)
        await asyncio.sleep(599)
        assert await most_at_a_time(of) == (configured or 10)

    play(act())


def test_a_pace_the_vendor_told_counts_what_has_been_sent_in_this_minute_already() -> None:
    async def act() -> None:
        of = pool("a")
        await turns(of, 2)
        await serve(of, reached("rpm", 2))
        await asyncio.sleep(20)
        assert (await refusal(of)).retry_after == pytest.approx(41)
        await asyncio.sleep(41)
        assert await turns(of, 2) == "aa"
        await refusal(of)

    play(act())


def test_tokens_the_vendor_told_are_kept_to() -> None:
    async def act() -> None:
        of = pool("a")
        await serve(of, tokens=80)
        await serve(of, reached("tpm", 100), tokens=30)
        await asyncio.sleep(20)
        await refusal(of, tokens=30)
        await asyncio.sleep(41)
        assert await turns(of, 1, tokens=80) == "a"
        await refusal(of, tokens=30)

    play(act())


@pytest.mark.parametrize("name", ["concurrency", "rpm"])
def test_who_waits_when_a_limit_is_forgotten_is_served_at_once(name: LimitName) -> None:
    async def act() -> None:
        of = pool("a")
        await serve(of, reached(name, 1))
        await asyncio.sleep(100)
        await serve(of)  # the trial
        await asyncio.sleep(490)
        async with of.lease(asking()):
            await serve(of, wait=30)
            assert now() == pytest.approx(600, abs=0.1)

    play(act())


def test_a_limit_of_the_vendor_that_is_more_than_ours_changes_nothing() -> None:
    async def act() -> None:
        of = pool("a", rpm=1)
        await serve(of, reached("rpm", 5))
        await asyncio.sleep(590)
        await serve(of)
        assert (await refusal(of, wait=30)).retry_after == pytest.approx(61)

    play(act())


def test_a_limit_that_was_forgotten_is_none_in_what_is_told() -> None:
    async def act() -> None:
        of = pool("a")
        await serve(of, reached("concurrency", 1))
        await asyncio.sleep(1)
        await serve(of)  # the trial
        async with of.lease(asking()):
            assert (of.reports()[0].state, of.reports()[0].max_concurrency) == ("busy", 1)
            await asyncio.sleep(600)
            assert (of.reports()[0].state, of.reports()[0].max_concurrency) == ("ready", None)

    play(act())


def test_who_wants_less_is_served_though_who_came_first_wants_too_much() -> None:
    async def act() -> None:
        of = pool("a", tpm=100)
        await serve(of, tokens=60)
        served: list[int] = []

        async def one(tokens: int) -> None:
            await serve(of, tokens=tokens, wait=300, lane=str(tokens))
            served.append(tokens)

        waiting = [asyncio.create_task(one(tokens)) for tokens in (90, 50, 20, 95)]
        await asyncio.sleep(10)
        assert served == [20]
        await asyncio.gather(*waiting)
        assert now() <= 3 * 61 + 1

    play(act())


def test_a_reset_forgets_what_the_vendor_said_it_allows() -> None:
    async def act() -> None:
        of = pool("a")
        await serve(of, reached("concurrency", 1))
        of.reset("a")
        assert await most_at_a_time(of) == 10

    play(act())


def test_a_limit_of_the_callers_own_account_is_learned_too() -> None:
    async def act() -> None:
        of, own = pool("a"), (account("own", is_callers=True),)
        await serve(of, reached("concurrency", 1), own=own)
        async with of.lease(asking(own=own)):
            await refusal(of, own=own)

    play(act())
