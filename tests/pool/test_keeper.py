"""Who looks after the accounts: how often, and what comes of what their vendors say."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import cast

import pytest

from moongate.app import beside
from moongate.core.errors import GatewayError, Kind
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.core.standing import Standing, Window
from moongate.pool.account import Account
from moongate.pool.credentials import FixedKey
from moongate.pool.keeper import USUAL, Keeper, due_at
from moongate.pool.pool import Asking, Pool
from moongate.pool.state import AccountState
from moongate.upstreams.kimi_code import kimi_code
from moongate.upstreams.upstream import Upstream
from moongate.wire.http import HttpCall, HttpHead, HttpReply
from scripted import patiently

CODING = kimi_code("https://c/v1", "test")
CODER = Route("kimi-code", "kimi-for-coding")
WALL = 1_800_000_000.0


class Vendor:
    """Answers `/usages` with this used share and reset, or every call with this status."""

    def __init__(self) -> None:
        self.used, self.resets_at, self.status = 0.1, WALL + 3600, 200
        self.asked: list[float] = []

    async def fetch(self, call: HttpCall) -> HttpReply:
        self.asked.append(now())
        reset = f"{_iso(self.resets_at)}"
        body = {"usages": {"limit_5h": {"used_ratio": self.used, "reset_time": reset}}}
        return HttpReply(HttpHead(self.status, {"content-type": "application/json"}), json.dumps(body).encode())

    def stream(self, call: HttpCall):  # type: ignore[no-untyped-def]
        raise NotImplementedError


def _iso(moment: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def now() -> float:
    return asyncio.get_running_loop().time()


def play(work: Coroutine[object, object, None]) -> None:
    patiently(work)


def account(upstream: Upstream = CODING) -> Account:
    return Account("a", upstream, FixedKey(Sealed("sk-kimi-example")))


@asynccontextmanager
async def kept(vendor: Vendor) -> AsyncIterator[Pool]:
    pool = Pool([account()], wall=lambda: WALL + now())
    async with beside(Keeper(pool, vendor).run()):
        await asyncio.sleep(1)
        yield pool


async def serve(pool: Pool, end: GatewayError | None = None) -> bool:
    """Whether the account serves; where it does, the request ends like this."""
    try:
        async with pool.lease(Asking(routes=(CODER,))):
            if end:
                raise end
    except GatewayError as error:
        return error is end
    return True


def test_an_account_is_looked_at_when_the_gateway_starts_and_now_and_then_after() -> None:
    async def act() -> None:
        vendor = Vendor()
        async with kept(vendor) as pool:
            (report,) = pool.reports()
            assert report.standing is not None
            assert report.standing.windows == (Window("5h", 0.1, WALL + 3600),)
            await asyncio.sleep(3000)
            assert 9 <= len(vendor.asked) <= 11

    play(act())


def test_scarce_quota_is_looked_at_more_often_and_kept_clear_of_before_it_is_refused() -> None:
    async def act() -> None:
        vendor = Vendor()
        vendor.used = 0.9
        async with kept(vendor) as pool:
            assert await serve(pool)
            vendor.used = 1.0
            await asyncio.sleep(66)
            (report,) = pool.reports()
            assert [(rest.scope, rest.until) for rest in report.resting] == [("group plan", vendor.resets_at)]

    play(act())


def test_a_refusal_for_quota_is_looked_into_at_once_and_rests_until_the_reset() -> None:
    async def act() -> None:
        vendor = Vendor()
        async with kept(vendor) as pool:
            vendor.used = 1.0
            await serve(pool, GatewayError(Kind.QUOTA_EXHAUSTED, "5-hour limit", window="5h"))
            await asyncio.sleep(1)
            (report,) = pool.reports()
            assert report.resting[0].until == vendor.resets_at
            await asyncio.sleep(3000)
            assert not await serve(pool)

    play(act())


def test_quota_that_came_back_before_its_time_is_used_within_two_minutes() -> None:
    """A peer's users lost eighteen days to a reset time that had become wrong."""

    async def act() -> None:
        vendor = Vendor()
        vendor.used, vendor.resets_at = 1.0, WALL + 18 * 86400
        async with kept(vendor) as pool:
            await serve(pool, GatewayError(Kind.QUOTA_EXHAUSTED, "5-hour limit", window="5h"))
            assert not await serve(pool)
            await asyncio.sleep(1000)
            vendor.used = 0.0
            await asyncio.sleep(120)
            assert await serve(pool)

    play(act())


@pytest.mark.parametrize("kind", [Kind.CREDENTIAL_REFUSED, Kind.ACCOUNT_BARRED, Kind.LOGIN_EXPIRED, Kind.MISDIRECTED])
def test_an_account_that_rests_is_back_within_two_minutes_of_its_vendor_answering(kind: Kind) -> None:
    async def act() -> None:
        vendor = Vendor()
        async with kept(vendor) as pool:
            vendor.status = 403
            await serve(pool, GatewayError(kind, "no"))
            assert not await serve(pool)
            await asyncio.sleep(1000)
            vendor.status = 200
            await asyncio.sleep(120)
            assert await serve(pool)

    play(act())


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_that_a_vendors_side_page_fails_says_nothing_about_the_account(status: int) -> None:
    async def act() -> None:
        vendor = Vendor()
        vendor.status = status
        async with kept(vendor) as pool:
            await asyncio.sleep(1000)
            assert await serve(pool)
            assert pool.reports()[0].state == "ready"

    play(act())


def test_an_account_that_is_refused_again_and_again_is_not_asked_all_the_time() -> None:
    """Its vendor's pages answer well; only its requests are refused."""

    async def act() -> None:
        vendor, tried = Vendor(), 0
        async with kept(vendor) as pool:
            for _ in range(600):
                tried += await serve(pool, GatewayError(Kind.ACCOUNT_BARRED, "no"))
                await asyncio.sleep(1)
        assert tried <= 60 + 2  # a pool of one rests ten seconds at most: there is nobody else to ask
        assert len(vendor.asked) <= 25

    play(act())


def test_a_bug_with_one_account_ends_no_care() -> None:
    async def act() -> None:
        vendor = Vendor()
        vendor.used = cast("float", object())  # nothing that JSON could hold
        async with kept(vendor) as pool:
            vendor.used = 0.3
            await asyncio.sleep(400)
            assert pool.reports()[0].standing is not None

    play(act())


def test_a_vendor_that_hangs_keeps_nobody_from_looking_at_others() -> None:
    class Hanging(Vendor):
        async def fetch(self, call: HttpCall) -> HttpReply:
            if call.url.startswith("https://d/"):
                await asyncio.sleep(1000)
            return await super().fetch(call)

    async def act() -> None:
        vendor = Hanging()
        hung = Account("hung", kimi_code("https://d/v1", "test"), FixedKey(Sealed("sk-kimi-example")))
        pool = Pool([hung, account()], wall=lambda: WALL + now())
        async with beside(Keeper(pool, vendor).run()):
            await asyncio.sleep(950)
            assert len(vendor.asked) == 4

    play(act())


def test_when_an_account_is_due() -> None:
    state = AccountState.of(account())
    assert due_at(state, 100.0, 200.0, USUAL) == 100.0 + USUAL.usual
    state.standing = Standing(0.0, (Window("5h", 0.85),))
    assert due_at(state, 100.0, 200.0, USUAL) == 100.0 + USUAL.scarce
