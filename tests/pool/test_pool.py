"""Accounts take turns, keep their limits, rest when they must, and come back however a lease ends."""

import asyncio
import math
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.core.limit import Limit, LimitName
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.core.standing import Standing, Window
from moongate.pool.account import Account
from moongate.pool.affinity import session
from moongate.pool.credentials import FixedKey
from moongate.pool.health import CONSEQUENCES
from moongate.pool.pool import Asking, Pool, PoolStatistics
from moongate.pool.roster import Promise
from moongate.upstreams.kimi_code import kimi_code
from moongate.upstreams.moonshot import moonshot
from scripted import patiently

PLATFORM = moonshot("https://p/v1", "test")
CODING = kimi_code("https://c/v1", "test")
K3 = Route("moonshot", "kimi-k3")
LIMITED = GatewayError(Kind.RATE_LIMITED, "slow down", retry_after=5)
BARRED = GatewayError(Kind.ACCOUNT_BARRED, "no")
WALL = 1_000_000.0


def account(name: str, **fields: Any) -> Account:
    return Account(name, PLATFORM, FixedKey(Sealed(f"sk-example-{name}")), **fields)


def pool(*names: str, **fields: Any) -> Pool:
    return Pool([account(name, **fields) for name in names], wall=lambda: WALL + now())


def now() -> float:
    return asyncio.get_running_loop().time()


def asking(*routes: Route, wait: float = 0.0, **fields: Any) -> Asking:
    return Asking(routes=routes or (K3,), wait_until=now() + wait, **fields)


async def serve(
    of: Pool, end: BaseException | None = None, lasts: float = 0.0, routes: tuple[Route, ...] = (), **fields: Any
) -> str:
    """The name of the account that served a request, which lasted so long and ended like this."""
    name = ""
    try:
        async with of.lease(asking(*routes, **fields)) as lease:
            name = lease.account.name
            await asyncio.sleep(lasts)
            if end:
                raise end
    except GatewayError as error:
        if error is not end:
            raise
    return name


async def turns(of: Pool, count: int, **fields: Any) -> str:
    return "".join([await serve(of, **fields) for _ in range(count)])


async def refusal(of: Pool, *routes: Route, **fields: Any) -> GatewayError:
    with pytest.raises(GatewayError) as failure:
        async with of.lease(asking(*routes, **fields)):
            pass
    assert failure.value.kind is Kind.NO_ACCOUNT
    return failure.value


def play(work: Coroutine[object, object, None]) -> float:
    """Seconds it took on a clock that leaps."""
    return patiently(work)[1]


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


@pytest.mark.parametrize(
    ("error", "can"),
    [
        (GatewayError(Kind.RATE_LIMITED, "no"), True),  # over in a second, and waited for
        (GatewayError(Kind.RATE_LIMITED, "no", retry_after=600), False),
        (GatewayError(Kind.MODEL_NOT_IN_PLAN, "no"), True),  # another model is served
        (GatewayError(Kind.QUOTA_EXHAUSTED, "no"), False),
        (GatewayError(Kind.ACCOUNT_BARRED, "no"), False),
        (GatewayError(Kind.REQUEST_REFUSED, "no"), True),
    ],
)
async def test_a_pool_can_serve_while_any_of_its_models_is_served(error: GatewayError, can: bool) -> None:
    of = pool("a")
    assert can_serve(of, K3.model, "another")
    await serve(of, error)
    assert can_serve(of, K3.model, "another") is can
    assert can_serve(of, K3.model) is (can and error.kind is not Kind.MODEL_NOT_IN_PLAN)


def can_serve(of: Pool, *models: str, patience: float = 30.0, is_doubted: bool = False) -> bool:
    return of.can_serve(lambda _: Promise(models, is_doubted), patience)


@pytest.mark.parametrize("names", ["a", "abc"])
@pytest.mark.parametrize("kind", [kind for kind in CONSEQUENCES if kind.retry == "same" or kind is Kind.TIMED_OUT])
def test_a_pool_whose_requests_all_fail_is_soon_known_to_serve_nobody(kind: Kind, names: str) -> None:
    async def act() -> None:
        of = pool(*names)
        ready = []
        for _ in range(600):
            with suppress(GatewayError):
                await serve(of, GatewayError(kind, "no"))
            await asyncio.sleep(0.9)
            ready.append(can_serve(of, K3.model))
        assert sum(ready) < len(ready) / 3  # while the next request is to tell whether an account is back
        await asyncio.sleep(120)
        await turns(of, 2 * len(names))
        assert can_serve(of, K3.model)

    play(act())


async def test_a_rest_is_waited_out_only_by_who_waits() -> None:
    of = pool("a")
    await serve(of, GatewayError(Kind.RATE_LIMITED, "no", retry_after=8))
    assert can_serve(of, K3.model)
    assert not can_serve(of, K3.model, patience=0.0)


async def test_an_account_whose_vendor_did_not_answer_is_believed_once_it_has_served() -> None:
    of = pool("a")
    assert not can_serve(of, K3.model, is_doubted=True)
    await serve(of)
    assert can_serve(of, K3.model, is_doubted=True)


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
