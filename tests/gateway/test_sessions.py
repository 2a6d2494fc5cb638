"""Sessions keep to one account, so that the vendor's prompt cache is hit about as often as with a single account; and
equal accounts share the work."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest

from harness import Gateway, Serve
from moongate.simulator import Simulator
from moongate.simulator.witness import Seen

CONVERSATIONS, TURNS = 40, 7
SYSTEM = "You are a careful assistant of the harbour office. " * 12
KEYS = [f"sk-example-account-{letter * 4}" for letter in "abcdefghij"]

Say = Callable[[int, int], str]


def said(conversation: int, turn: int) -> str:
    return (
        f"Question {turn} of conversation {conversation}: "
        + random.Random(conversation * 100 + turn).randbytes(150).hex()
    )


async def converse(gateway: Gateway, number: int, headers: dict[str, str], fields: dict[str, object]) -> None:
    """One conversation, turn by turn, as a client holds it: the whole history each time."""
    messages: list[dict[str, str]] = [{"role": "system", "content": SYSTEM}]
    for turn in range(TURNS):
        messages.append({"role": "user", "content": said(number, turn)})
        async with gateway.ask(messages=messages, headers=headers, **fields) as reply:
            answer = (await reply.json())["choices"][0]["message"]
        messages.append({"role": "assistant", "content": answer["content"]})


async def hit_rate(sim: Simulator, serve: Serve, accounts: int, named: str) -> tuple[float, Counter[str]]:
    """The cached share of all prompt tokens, and how many requests each account had."""
    sim.reset()
    async with serve({"KIMI_API_KEY": ",".join(KEYS[:accounts]), "KIMI_BASE_URL": sim.platform}) as gateway:
        crowd = asyncio.Semaphore(12)

        async def one(number: int) -> None:
            headers = {"x-session-id": f"s{number}"} if named == "by header" else {}
            fields: dict[str, object] = {"prompt_cache_key": f"k{number}"} if named == "by key" else {}
            async with crowd:
                await converse(gateway, number, headers, fields)

        async with asyncio.TaskGroup() as group:
            for number in range(CONVERSATIONS):
                group.create_task(one(number))
    asked = [seen for seen in sim.seen if "chat" in seen.path]
    assert len(asked) == CONVERSATIONS * TURNS
    cached, prompt = sum(seen.billed.cached for seen in asked), sum(seen.billed.prompt for seen in asked)
    return cached / prompt, Counter(map(account_of, asked))


def account_of(seen: Seen) -> str:
    return seen.headers["authorization"][-4:]


@pytest.mark.parametrize("named", ["by key", "by header", "by what was said"])
async def test_ten_accounts_hit_the_prompt_cache_nearly_as_often_as_one(
    sim: Simulator, serve: Serve, named: str
) -> None:
    alone, _ = await hit_rate(sim, serve, 1, named)
    together, shares = await hit_rate(sim, serve, 10, named)
    mean = CONVERSATIONS * TURNS / 10
    assert together >= 0.95 * alone
    assert len(shares) == 10
    assert max(shares.values()) <= 2 * mean


async def test_equal_accounts_share_a_thousand_requests_evenly(sim: Simulator, serve: Serve) -> None:
    async with serve({"KIMI_API_KEY": ",".join(KEYS[:7]), "KIMI_BASE_URL": sim.platform}) as gateway:
        crowd = asyncio.Semaphore(50)

        async def one(number: int) -> None:
            async with crowd, gateway.ask(f"hello {number % 3}", stream=number % 2 == 0) as reply:
                await reply.read()

        async with asyncio.TaskGroup() as group:
            for number in range(1000):
                group.create_task(one(number))
        shares = {report.name: report.served for report in gateway.running.pool.reports()}
    assert sum(shares.values()) == 1000
    assert max(shares.values()) - min(shares.values()) <= 0.10 * 1000 / 7
