"""A limit nobody has written down: the vendor tells it once, and is not made to say it again."""

import asyncio

from harness import Gateway, Serve
from moongate.simulator import Script, Simulator

KEY = "sk-example-lowest-tier"


async def crowd(gateway: Gateway, number: int) -> list[int]:
    async def one() -> int:
        async with gateway.ask(stream=True) as reply:
            body = await reply.read()
            assert body.endswith(b"data: [DONE]\n\n")
            return reply.status

    return await asyncio.gather(*(one() for _ in range(number)))


async def test_an_account_that_takes_two_at_a_time_serves_a_crowd(sim: Simulator, serve: Serve) -> None:
    account = sim.account(KEY)
    account.max_concurrency = 2
    async with serve({"KIMI_API_KEY": KEY, "KIMI_BASE_URL": sim.platform}) as gateway:
        for _ in range(60):
            sim.enqueue(Script(text="word " * 5, reasoning="", pause=0.01))
        assert await crowd(gateway, 20) == [200] * 20
        first = [len(record["attempts"]) for record in gateway.records()]
        assert max(first) <= 3
        assert [entry["amount"] for entry in gateway.log if entry["event"] == "limit learned"] == [2]
        sim.seen.clear()
        assert await crowd(gateway, 20) == [200] * 20
        assert len(sim.seen) == 20  # nobody was refused
    assert account.peak == 2
