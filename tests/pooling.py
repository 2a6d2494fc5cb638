"""A pool of accounts to play with: lent, failed and judged on a clock that leaps."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.pool.account import Account
from moongate.pool.credentials import FixedKey
from moongate.pool.pool import Asking, Pool
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


def can_serve(of: Pool, *models: str, patience: float = 30.0, is_doubted: bool = False) -> bool:
    return of.can_serve(lambda _: Promise(models, is_doubted), patience)
