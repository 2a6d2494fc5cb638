"""Accounts take turns, keep their limits, rest when they must, and come back however a lease ends."""

import asyncio
import math
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.core.standing import Standing, Window
from moongate.pool.account import Account
from moongate.pool.affinity import session
from moongate.pool.credentials import FixedKey
from moongate.pool.pool import Pool, PoolStatistics
from pooling import (
    BARRED,
    CODING,
    K3,
    LIMITED,
    PLATFORM,
    WALL,
    account,
    asking,
    can_serve,
    now,
    play,
    pool,
    refusal,
    serve,
    turns,
)


async def test_accounts_take_turns() -> None:
    assert await turns(pool("a", "b", "c"), 7) == "abcabca"


async def test_the_least_busy_goes_first() -> None:
    of = pool("a", "b")
    async with of.lease(asking()) as first, of.lease(asking()) as second:
        assert first.account.name + second.account.name == "ab"
        async with of.lease(asking()) as third:
            assert third.account.name == "a"
            assert await turns(of, 2) == "bb"


async def test_many_at_once_are_spread_evenly() -> None:
    of = pool("a", "b", "c")
    async with AsyncExitStack() as held:
        taken = [await held.enter_async_context(of.lease(asking())) for _ in range(300)]
        assert set(Counter(lease.account.name for lease in taken).values()) == {100}
        assert of.statistics() == PoolStatistics(accounts=3, leased=300, waiting=0)
    assert of.statistics() == PoolStatistics(accounts=3, leased=0, waiting=0)


async def test_an_account_at_its_limit_is_passed_over_until_all_are() -> None:
    of = Pool([account("a", max_concurrency=1), account("b", max_concurrency=2)])
    async with AsyncExitStack() as held:
        taken = [(await held.enter_async_context(of.lease(asking()))).account.name for _ in range(3)]
        assert sorted(taken) == ["a", "b", "b"]
        error = await refusal(of)
        assert "limit" in error.message
        assert error.retry_after == 1
    assert await turns(of, 1) in "ab"


@pytest.mark.parametrize("end", [GatewayError(Kind.FAILED, "x"), ValueError("x"), asyncio.CancelledError(), None])
async def test_a_lease_is_returned_however_its_block_ends(end: BaseException | None) -> None:
    of = pool("a", max_concurrency=1)

    async def block() -> None:
        async with of.lease(asking()):
            assert of.statistics().leased == 1
            if end:
                raise end

    if end:
        with pytest.raises(type(end)):
            await block()
    else:
        await block()
    assert of.statistics().leased == 0
    assert await turns(of, 1) == "a"


async def test_an_account_serves_its_upstream_and_its_models_alone() -> None:
    coding = Account("c", CODING, FixedKey(Sealed("x")))
    of = Pool([account("a", models=frozenset({"kimi-k2.6"})), account("b"), coding])
    assert await turns(of, 3) == "bbb"
    async with of.lease(asking(Route("kimi-code", "k3"))) as lease:
        assert lease.account is coding
    error = await refusal(of, Route("openai", "x"))
    assert "no account can serve" in error.message
    assert error.retry_after is None


async def test_where_a_request_may_not_go_it_does_not() -> None:
    of = pool("a", "b")
    never = float("inf")
    assert await serve(of, avoid={("a", K3): never}) == "b"
    await refusal(of, avoid={("a", K3): never, ("b", K3): never})


async def test_the_first_route_with_an_open_account_is_taken() -> None:
    of = Pool([account("a", max_concurrency=1), Account("c", CODING, FixedKey(Sealed("x")))])
    ways = (K3, Route("kimi-code", "k3"))
    async with of.lease(asking(*ways)) as first, of.lease(asking(*ways)) as second:
        assert (first.route, second.route) == ways


async def test_a_callers_own_accounts_are_used_instead_and_take_turns_among_themselves() -> None:
    of = pool("a")
    own = (account("own#1", is_callers=True), account("own#2", is_callers=True))
    async with of.lease(asking(own=own)) as first, of.lease(asking(own=own)) as second:
        assert {first.account.name, second.account.name} == {"own#1", "own#2"}
        assert of.statistics().leased == 2
    assert of.statistics() == PoolStatistics(accounts=1, leased=0, waiting=0)
    assert await turns(of, 4, own=own) == "own#1own#2own#1own#2"
    await refusal(of, Route("kimi-code", "k3"), own=own)


async def test_two_callers_whose_keys_end_alike_are_never_served_by_each_others_key() -> None:
    of = pool("a")
    one, other = (
        Account("own …abcd#1", PLATFORM, FixedKey(Sealed(key)), is_callers=True)
        for key in ("sk-example-one-abcd", "sk-example-other-abcd")
    )
    for own in (one, other, one):
        async with of.lease(asking(own=(own,))) as lease, of.lease(asking(own=(own,))) as again:
            assert lease.account == again.account == own


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.lists(st.booleans(), max_size=30))
def test_no_limit_is_ever_passed_and_no_lease_ever_lost(limits: list[int], steps: list[bool]) -> None:
    """Each step takes an account or gives one back."""
    of = Pool(account(str(place), max_concurrency=limit) for place, limit in enumerate(limits))
    held: list[AsyncExitStack] = []
    names: list[str] = []

    async def act() -> None:
        for take in steps:
            if take:
                stack = AsyncExitStack()
                try:
                    names.append((await stack.enter_async_context(of.lease(asking()))).account.name)
                    held.append(stack)
                except GatewayError:
                    assert len(held) == sum(limits)
            elif held:
                await held.pop(0).aclose()
                names.pop(0)
            assert of.statistics().leased == len(held)
            assert all(names.count(str(place)) <= limit for place, limit in enumerate(limits))

    asyncio.run(act())


# Resting


def test_an_account_that_was_limited_rests_as_long_as_it_was_told_and_others_serve() -> None:
    async def act() -> None:
        of = pool("a", "b")
        assert await serve(of, LIMITED) == "a"
        assert await turns(of, 3) == "bbb"
        await asyncio.sleep(5)
        assert "a" in await turns(of, 2)

    play(act())


def test_after_a_rest_one_request_at_a_time_goes_on_trial_until_one_has_spoken() -> None:
    async def act() -> None:
        of = pool("a")
        await serve(of, LIMITED)
        await asyncio.sleep(5)
        async with of.lease(asking()) as trial:
            assert (await refusal(of)).retry_after == 1
            trial.spoke()
            assert await turns(of, 1) == "a"

    play(act())


def test_a_trial_that_the_caller_gave_up_says_nothing_and_the_next_is_the_trial() -> None:
    async def act() -> None:
        of = pool("a")
        await serve(of, LIMITED)
        await asyncio.sleep(5)
        with pytest.raises(asyncio.CancelledError):
            await serve(of, asyncio.CancelledError())
        assert await turns(of, 2) == "aa"

    play(act())


def test_trouble_with_one_model_leaves_the_others_alone() -> None:
    async def act() -> None:
        of = pool("a")
        await serve(of, GatewayError(Kind.OVERLOADED, "busy", retry_after=9))
        assert (await refusal(of)).retry_after == 9
        async with of.lease(asking(Route("moonshot", "kimi-k2.6"))) as lease:
            assert lease.account.name == "a"

    play(act())


def test_used_up_quota_concerns_the_models_that_share_it() -> None:
    async def act() -> None:
        of = Pool([Account("c", CODING, FixedKey(Sealed("x")))])
        used_up = GatewayError(Kind.QUOTA_EXHAUSTED, "weekly limit", window="7d")
        with pytest.raises(GatewayError):
            async with of.lease(asking(Route("kimi-code", "kimi-for-coding"))):
                raise used_up
        assert "weekly limit" in (await refusal(of, Route("kimi-code", "k3"))).message
        async with of.lease(asking(Route("kimi-code", "kimi-for-coding-highspeed"))) as lease:
            assert lease.account.name == "c"

    play(act())


def test_one_wrong_403_does_not_kill_a_pool() -> None:
    async def act() -> None:
        of = pool("a", "b", "c", "d")
        assert await turns(of, 4, end=BARRED) == "abcd"
        error = await refusal(of)
        assert error.retry_after is not None
        assert error.retry_after <= 10
        await asyncio.sleep(10)
        assert len(set(await turns(of, 4))) == 4

    play(act())


def test_one_barred_account_of_many_rests_alone_and_is_back_within_two_minutes() -> None:
    async def act() -> None:
        of = pool("a", "b", "c", "d")
        await serve(of, BARRED)
        assert "a" not in await turns(of, 30)
        (report,) = [report for report in of.reports() if report.state == "resting"]
        assert (report.name, report.kind, report.reason, report.until) == ("a", "account_barred", "no", WALL + 30)
        await asyncio.sleep(120)
        assert of.reports()[0].state == "trial"
        assert "a" in await turns(of, 4)
        assert of.reports()[0].state == "ready"

    play(act())


def test_a_reset_clears_an_account_at_once() -> None:
    async def act() -> None:
        of = pool("a")
        await serve(of, GatewayError(Kind.LOGIN_EXPIRED, "log in again"))
        assert of.reports()[0].state == "out"
        assert not can_serve(of)
        assert (await refusal(of)).retry_after is None
        assert of.reset("a")
        assert not of.reset("nobody")
        assert await turns(of, 1) == "a"

    play(act())


@pytest.mark.parametrize(
    "kind", [Kind.INVALID_REQUEST, Kind.REQUEST_REFUSED, Kind.CONTENT_REFUSED, Kind.CLIENT_BARRED, Kind.INTERNAL]
)
async def test_what_is_the_requests_fault_burns_no_account(kind: Kind) -> None:
    of = pool("a")
    assert await turns(of, 50, end=GatewayError(kind, "no")) == "a" * 50


def test_a_known_standing_rests_an_account_before_it_is_refused() -> None:
    async def act() -> None:
        of = Pool([Account(name, CODING, FixedKey(Sealed(name))) for name in "ab"], wall=lambda: WALL + now())
        of.learn(of.states[0], Standing(WALL, (Window("5h", 1.0, WALL + 100),)), now())
        way = asking(Route("kimi-code", "k3"))
        for _ in range(3):
            async with of.lease(way) as lease:
                assert lease.account.name == "b"
        await asyncio.sleep(30)
        of.learn(of.states[0], Standing(WALL + 30, (Window("5h", 0.2, WALL + 100),)), now())
        async with of.lease(way) as lease:
            assert lease.account.name == "a"

    play(act())


def test_a_refusal_that_names_a_window_rests_until_that_window_is_reset() -> None:
    async def act() -> None:
        of = Pool([Account("a", CODING, FixedKey(Sealed("a")))], wall=lambda: WALL + now())
        windows = (Window("5h", 0.9, WALL + 700), Window("7d", 0.5, WALL + 90_000))
        of.learn(of.states[0], Standing(WALL, windows), now())
        coder = Route("kimi-code", "k3")
        with pytest.raises(GatewayError):
            async with of.lease(asking(coder)):
                raise GatewayError(Kind.QUOTA_EXHAUSTED, "weekly limit", window="7d")
        assert (await refusal(of, coder)).retry_after == 90_000

    play(act())


def test_who_would_be_refused_by_their_vendors_word_is_asked_before_nobody_is() -> None:
    """People report of having been served at a hundred percent."""

    async def act() -> None:
        of = Pool([Account("a", CODING, FixedKey(Sealed("a")))], wall=lambda: WALL + now())
        of.learn(of.states[0], Standing(WALL, (Window("5h", 1.0, WALL + 100),)), now())
        coder = Route("kimi-code", "k3")
        async with of.lease(asking(coder)) as lease:
            assert lease.account.name == "a"
        of.learn(of.states[0], Standing(WALL, (Window("5h", 1.0, WALL + 100),)), now())
        assert "not refused yet" in of.reports()[0].resting[0].reason
        with pytest.raises(GatewayError):
            async with of.lease(asking(coder)):
                raise GatewayError(Kind.QUOTA_EXHAUSTED, "5-hour limit", window="5h")
        assert "5-hour limit" in (await refusal(of, coder)).message

    play(act())


def test_quota_that_is_reset_soonest_goes_first_among_the_idle() -> None:
    async def act() -> None:
        of = Pool([Account(name, CODING, FixedKey(Sealed(name))) for name in "abc"], wall=lambda: WALL + now())
        for state, hours in zip(of.states, (100, 2, 5), strict=True):
            of.learn(state, Standing(WALL, (Window("7d", 0.5, WALL + hours * 3600),)), now())
        way = asking(Route("kimi-code", "k3"))
        async with of.lease(way) as first, of.lease(way) as second, of.lease(way) as third:
            assert first.account.name + second.account.name + third.account.name == "bac"

    play(act())


# Pace


async def test_a_session_keeps_to_its_account() -> None:
    of = pool("a", "b", "c")
    await serve(of)
    kin = session("caller", "mine", {}, lambda: ())
    assert set(await turns(of, 10, session=kin)) == {"b"}


async def test_a_session_spills_over_when_its_account_is_much_busier_than_the_others_and_returns() -> None:
    of = pool("a", "b")
    kin = session("caller", "mine", {}, lambda: ())
    async with AsyncExitStack() as held:
        names = [(await held.enter_async_context(of.lease(asking(session=kin)))).account.name for _ in range(10)]
        assert Counter(names) == {"a": 7, "b": 3}
    assert await turns(of, 3, session=kin) == "aaa"


@pytest.mark.parametrize("route", [K3, Route("moonshot", "kimi-k2.6")])
def test_a_session_moves_where_it_was_answered_if_its_account_failed_it(route: Route) -> None:
    async def act() -> None:
        of = pool("a", "b", "c")
        kin = session("caller", "mine", {}, lambda: ())
        failure = GatewayError(Kind.FAILED, "once")  # too little for a rest
        assert await serve(of, failure, session=kin) == "a"
        avoid = {("a", K3): now() + 1, ("a", route): math.inf}
        assert await serve(of, session=kin, routes=(route,), avoid=avoid) == "b"
        await asyncio.sleep(2)
        assert await turns(of, 3, session=kin) == "bbb"

    play(act())


def test_a_session_moves_when_its_account_rests_and_stays_where_it_went() -> None:
    async def act() -> None:
        of = pool("a", "b")
        kin = session("caller", "mine", {}, lambda: ())
        assert await serve(of, LIMITED, session=kin) == "a"
        assert await turns(of, 2, session=kin) == "bb"
        await asyncio.sleep(10)
        assert await turns(of, 2, session=kin) == "bb"

    play(act())


# Other accounts from now on


async def test_accounts_that_stay_keep_what_is_known_of_them_and_their_leases() -> None:
    of = pool("a", "b", max_concurrency=1)
    await serve(of, BARRED)
    async with of.lease(asking()) as lease:
        assert lease.account.name == "b"
        of.adopt([account("a", max_concurrency=5), account("b", max_concurrency=1), account("c")])
        assert [report.state for report in of.reports()] == ["resting", "busy", "ready"]
        assert await turns(of, 2) == "cc"
    assert [report.leased for report in of.reports()] == [0, 0, 0]


async def test_a_new_key_under_an_old_name_starts_afresh() -> None:
    of = pool("a")
    await serve(of, BARRED)
    of.adopt([Account("a", PLATFORM, FixedKey(Sealed("sk-example-other")))])
    assert await turns(of, 1) == "a"


def test_who_waits_is_served_by_an_account_that_is_new() -> None:
    async def act() -> None:
        of = pool("a", max_concurrency=1)
        async with of.lease(asking()):
            waiting = asyncio.create_task(serve(of, wait=100))
            await asyncio.sleep(1)
            of.adopt([account("a", max_concurrency=1), account("b")])
            assert await waiting == "b"

    play(act())
