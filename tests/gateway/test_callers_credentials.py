"""Callers who bring credentials of their own are served by these and by nobody else's."""

from harness import Serve
from moongate.simulator import Simulator


async def test_keys_that_end_alike_are_told_apart(sim: Simulator, serve: Serve) -> None:
    """The witness shows four characters of a key, so the balance, which each has for itself, tells which it was."""
    rich, poor = "sk-example-of-somebody-abcd", "sk-example-of-another-abcd"
    sim.account(poor).balance = 0.0
    async with serve({"KIMI_BASE_URL": sim.platform, "CALLER_TOKENS": "true"}) as gateway:
        statuses = []
        for key in (rich, poor, rich, poor):
            async with gateway.ask(headers={"authorization": f"Bearer {key}"}) as reply:
                statuses.append(reply.status)
        assert statuses == [200, 429, 200, 429]
