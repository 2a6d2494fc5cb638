"""Whether anybody could be served at all: by what requests came to, and by what vendors tell beside."""

import asyncio
from contextlib import suppress

import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.pool.health import CONSEQUENCES
from pooling import (
    K3,
    can_serve,
    play,
    pool,
    serve,
    turns,
)


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
