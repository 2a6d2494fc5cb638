"""Accounts take turns, keep their limits, and come back however a lease ends."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.pool.account import Account
from moongate.pool.pool import Pool, PoolStatistics
from moongate.upstreams.kimi_code import kimi_code
from moongate.upstreams.moonshot import moonshot

PLATFORM = moonshot("https://p/v1", "test")
CODING = kimi_code("https://c/v1", "test")
K3 = Route("moonshot", "kimi-k3")
NOBODY: frozenset[str] = frozenset()


def account(name: str, **fields: object) -> Account:
    return Account(name, PLATFORM, Sealed(f"sk-example-{name}"), **fields)  # type: ignore[arg-type]


def pool(*names: str, **fields: object) -> Pool:
    return Pool(account(name, **fields) for name in names)


async def turns(of: Pool, count: int) -> str:
    taken = ""
    for _ in range(count):
        async with of.lease(K3, (), NOBODY) as leased:
            taken += leased.name
    return taken


async def refusal(
    of: Pool, route: Route = K3, own: tuple[Account, ...] = (), avoid: frozenset[str] = NOBODY
) -> GatewayError:
    with pytest.raises(GatewayError) as failure:
        async with of.lease(route, own, avoid):
            pass
    assert failure.value.kind is Kind.NO_ACCOUNT
    return failure.value


async def test_accounts_take_turns() -> None:
    assert await turns(pool("a", "b", "c"), 7) == "abcabca"


async def test_the_least_busy_goes_first() -> None:
    of = pool("a", "b")
    async with of.lease(K3, (), NOBODY) as first, of.lease(K3, (), NOBODY) as second:
        assert first.name + second.name == "ab"
        async with of.lease(K3, (), NOBODY) as third:
            assert third.name == "a"
            assert await turns(of, 2) == "bb"


async def test_many_at_once_are_spread_evenly() -> None:
    of = pool("a", "b", "c")
    async with AsyncExitStack() as held:
        taken = [await held.enter_async_context(of.lease(K3, (), NOBODY)) for _ in range(300)]
        assert set(Counter(leased.name for leased in taken).values()) == {100}
        assert of.statistics() == PoolStatistics(accounts=3, leased=300)
    assert of.statistics() == PoolStatistics(accounts=3, leased=0)


async def test_an_account_at_its_limit_is_passed_over_until_all_are() -> None:
    of = Pool([account("a", max_concurrency=1), account("b", max_concurrency=2)])
    async with AsyncExitStack() as held:
        taken = [(await held.enter_async_context(of.lease(K3, (), NOBODY))).name for _ in range(3)]
        assert sorted(taken) == ["a", "b", "b"]
        error = await refusal(of)
        assert "limit" in error.message
        assert error.retry_after == 1
    assert await turns(of, 1) in "ab"


@pytest.mark.parametrize("end", [GatewayError(Kind.FAILED, "x"), ValueError("x"), asyncio.CancelledError(), None])
async def test_a_lease_is_returned_however_its_block_ends(end: BaseException | None) -> None:
    of = pool("a", max_concurrency=1)

    async def block() -> None:
        async with of.lease(K3, (), NOBODY):
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
    coding = Account("c", CODING, Sealed("x"))
    of = Pool([account("a", models=frozenset({"kimi-k2.6"})), account("b"), coding])
    assert await turns(of, 3) == "bbb"
    async with of.lease(Route("kimi-code", "k3"), (), NOBODY) as leased:
        assert leased is coding
    error = await refusal(of, Route("openai", "x"))
    assert "no account can serve" in error.message
    assert error.retry_after is None


async def test_accounts_to_avoid_are_avoided() -> None:
    of = pool("a", "b")
    async with of.lease(K3, (), frozenset("a")) as leased:
        assert leased.name == "b"
    await refusal(of, avoid=frozenset("ab"))


async def test_a_callers_own_accounts_are_used_instead_and_leave_no_trace() -> None:
    of = pool("a")
    empty = vars(pool("a"))
    own = (account("own#1", is_callers=True), account("own#2", is_callers=True))
    async with of.lease(K3, own, NOBODY) as first, of.lease(K3, own, NOBODY) as second:
        assert {first.name, second.name} == {"own#1", "own#2"}
        assert of.statistics() == PoolStatistics(accounts=1, leased=2)
        async with of.lease(K3, own[:1], NOBODY):
            pass
        assert of.statistics().leased == 2
    with pytest.raises(ValueError, match="x"):
        async with of.lease(K3, own, NOBODY):
            raise ValueError("x")
    await refusal(of, Route("kimi-code", "k3"), own)
    after = vars(of)
    assert (after["_leased"], after["_last_used"]) == (empty["_leased"], empty["_last_used"])


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.lists(st.booleans(), max_size=30))
def test_no_limit_is_ever_passed_and_no_lease_ever_lost(limits: list[int], steps: list[bool]) -> None:
    """Each step takes an account or gives one back."""
    of = Pool(account(str(place), max_concurrency=limit) for place, limit in enumerate(limits))
    held: list[AsyncExitStack] = []
    names: list[str] = []

    async def play() -> None:
        for take in steps:
            if take:
                stack = AsyncExitStack()
                try:
                    names.append((await stack.enter_async_context(of.lease(K3, (), NOBODY))).name)
                    held.append(stack)
                except GatewayError:
                    assert len(held) == sum(limits)
            elif held:
                await held.pop(0).aclose()
                names.pop(0)
            assert of.statistics().leased == len(held)
            assert all(names.count(str(place)) <= limit for place, limit in enumerate(limits))

    asyncio.run(play())
