"""Accounts are asked what they serve: when somebody needs to know, one round at a time, each for itself."""

import asyncio

import pytest

from moongate.catalog import Catalog
from moongate.core.errors import GatewayError, Kind
from moongate.core.sealed import Sealed
from moongate.discovery import FAILURE_ASKS_AFTER, LISTS_KEEP, PATIENCE, STRANGE_NAME_ASKS_AFTER, Discovery
from moongate.pool.account import Account
from moongate.pool.credentials import FixedKey
from moongate.upstreams.kimi_code import kimi_code
from scripted import JSON, PLATFORM, Played, Stage, patiently

FIRST = Account("first", PLATFORM, FixedKey(Sealed("sk-example-1")))
SECOND = Account("second", kimi_code("https://c/v1", "test"), FixedKey(Sealed("sk-kimi-example")))


def listing(*names: str, late: float = 0) -> Played:
    data = ",".join(f'{{"id":"{name}"}}' for name in names)
    return Played(f'{{"data":[{data}]}}'.encode(), headers=JSON, late=late)


DOWN = GatewayError(Kind.UNREACHABLE, "nobody there")


class Asking:
    def __init__(self, *replies: Played | GatewayError, accounts: tuple[Account, ...] = (FIRST,)) -> None:
        self.stage = Stage(*replies)
        self.now = 0.0
        self.catalog = Catalog(accounts)
        self.discovery = Discovery(self.catalog, accounts, self.stage, lambda: self.now)

    async def names(self) -> list[str]:
        return [model.id for model in await self.discovery.models()]


async def test_a_list_is_asked_for_once_and_kept_for_a_while() -> None:
    asking = Asking(listing("kimi-k4"), listing("kimi-k5"))
    assert await asking.names() == await asking.names() == ["kimi-k4"]
    asking.now = LISTS_KEEP
    assert await asking.names() == ["kimi-k4"]
    assert len(asking.stage.calls) == 1
    asking.now = LISTS_KEEP + 1
    assert await asking.names() == ["kimi-k5"]


async def test_all_who_wait_share_one_round() -> None:
    asking = Asking(listing("kimi-k4", late=0.01))
    assert await asyncio.gather(*[asking.names() for _ in range(5)]) == [["kimi-k4"]] * 5
    assert len(asking.stage.calls) == 1


async def test_a_round_that_takes_long_is_not_joined_by_another() -> None:
    asking = Asking(listing("kimi-k4", late=0.02))
    first = asyncio.create_task(asking.names())
    await asyncio.sleep(0.001)
    asking.now = 2 * LISTS_KEEP
    assert await asking.names() == await first == ["kimi-k4"]
    assert len(asking.stage.calls) == 1


async def test_a_known_name_asks_nobody() -> None:
    asking = Asking()
    assert [str(route) for route in await asking.discovery.resolve("kimi-k3", ())] == ["moonshot/kimi-k3"]
    assert asking.stage.calls == []


async def test_a_strange_name_is_asked_about_anew_but_not_each_time() -> None:
    asking = Asking(listing("kimi-k4"), listing("kimi-k4", "kimi-k5"))
    with pytest.raises(GatewayError) as failure:
        await asking.discovery.resolve("kimi-k5", ())
    assert failure.value.kind is Kind.UNKNOWN_MODEL
    for _ in range(3):
        with pytest.raises(GatewayError):
            await asking.discovery.resolve("kimi-k5", ())
    assert len(asking.stage.calls) == 1
    asking.now = STRANGE_NAME_ASKS_AFTER + 1
    assert [str(route) for route in await asking.discovery.resolve("kimi-k5", ())] == ["moonshot/kimi-k5"]


async def test_an_account_that_is_down_hides_nothing_of_the_others() -> None:
    asking = Asking(DOWN, listing("k9"), accounts=(FIRST, SECOND))
    assert "k9" in await asking.names()
    assert "kimi-k3" in await asking.names()
    promises = await asking.discovery.promises()
    assert [promises(account).is_doubted for account in (FIRST, SECOND)] == [True, False]
    assert promises(SECOND).models == ("k9",)


def test_who_does_not_answer_is_waited_for_only_so_long() -> None:
    async def ask() -> list[str]:
        asking = Asking(listing("kimi-k4", late=1000))
        names = await asking.names()
        await asking.discovery.close()
        assert asking.stage.open == 0
        return names

    names, seconds = patiently(ask())
    assert "kimi-k3" in names
    assert seconds == PATIENCE


async def test_who_is_to_be_believed_is_known_from_the_last_answer_and_asked_anew_where_it_is_nobody() -> None:
    asking = Asking(DOWN, listing("kimi-k4"))

    async def is_doubted() -> bool:
        return (await asking.discovery.promises())(FIRST).is_doubted

    assert not await is_doubted()
    await asking.names()
    assert await is_doubted()
    asking.now = FAILURE_ASKS_AFTER + 1
    assert not await is_doubted()


async def test_who_failed_is_asked_anew_though_others_did_not() -> None:
    """Else nobody would send it a request, and so nobody would ever know that it is back."""
    asking = Asking(DOWN, listing("k9"), listing("kimi-k4"), listing("k9"), accounts=(FIRST, SECOND))
    await asking.names()
    assert (await asking.discovery.promises())(FIRST).is_doubted
    asking.now = FAILURE_ASKS_AFTER + 1
    await asking.discovery.promises()
    await asking.names()
    assert not (await asking.discovery.promises())(FIRST).is_doubted


async def test_a_model_is_described_after_asking() -> None:
    asking = Asking(listing("kimi-k4"))
    assert (await asking.discovery.model("kimi-k4")).id == "kimi-k4"
    with pytest.raises(GatewayError):
        await asking.discovery.model("kimi-k5")


async def test_closing_what_never_began_is_nothing() -> None:
    await Asking().discovery.close()
