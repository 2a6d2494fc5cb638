"""Many at once, half of whom leave in the middle: nothing of them stays."""

import asyncio
import gc
import random
from collections import Counter

from harness import Gateway, events, until
from moongate.simulator import Script, Simulator

CROWD = 200
ROUNDS = 5


async def test_streams_of_which_half_hang_up_leave_nothing_behind(gateway: Gateway, sim: Simulator) -> None:
    for seed in range(2):  # what is made once, such as connections and caches, is made now
        await _round(gateway, sim, seed)
    # More or fewer connections are kept each time, some 160 objects; a leak leaves one for each stream, or every other.
    before = _objects()
    for seed in range(2, 2 + ROUNDS):
        await _round(gateway, sim, seed)
    grown = {name: count for name, count in (_objects() - before).items() if count > ROUNDS * CROWD / 3}
    grown.pop("moongate.pool.pace.Entry", None)  # each is kept for a minute
    assert not grown


def _objects() -> Counter[str]:
    """How many there are of each type."""
    gc.collect()
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())


async def test_a_crowd_is_told_apart_in_the_log(gateway: Gateway, sim: Simulator) -> None:
    whole, gone = await _crowd(gateway, sim, seed=4)
    await _at_rest(gateway, sim, keep_log=True)
    outcomes = Counter(record["outcome"] for record in gateway.records())
    assert outcomes["answered"] == whole
    assert 0 < outcomes["hung up"] <= gone  # some left before their request did
    assert len({record["request_id"] for record in gateway.records()}) == outcomes.total()


async def _round(gateway: Gateway, sim: Simulator, seed: int) -> None:
    whole, gone = await _crowd(gateway, sim, seed)
    assert whole + gone == CROWD
    assert gone >= CROWD // 4
    await _at_rest(gateway, sim)


async def _crowd(gateway: Gateway, sim: Simulator, seed: int) -> tuple[int, int]:
    chance = random.Random(seed)
    for _ in range(CROWD):
        sim.enqueue(Script(text="word " * 40, piece=5, pause=0.01))
    patience = [chance.uniform(0.0, 0.4) if n % 2 else 60.0 for n in range(CROWD)]
    ended = await asyncio.gather(*(_listen(gateway, seconds) for seconds in patience))
    sim.reset()
    return ended.count(True), ended.count(False)


async def _listen(gateway: Gateway, seconds: float) -> bool:
    """Whether the answer came to its end before patience did."""
    try:
        async with asyncio.timeout(seconds), gateway.ask(stream=True) as reply:
            told = events(await reply.read())
    except TimeoutError:
        return False
    assert told[-1] == "[DONE]"
    return True


async def _at_rest(gateway: Gateway, sim: Simulator, *, keep_log: bool = False) -> None:
    """Once everybody has noticed that everybody has gone. Raises TimeoutError if something stays."""
    async with asyncio.timeout(5):
        await sim.settled()
    await until(lambda: gateway.running.pool.statistics().leased == 0)
    await until(lambda: gateway.running.transport.statistics().open == 0)
    await until(lambda: not gateway.server.server_state.tasks)
    if not keep_log:
        gateway.log.clear()
