"""Many at once, half of whom leave in the middle: nothing of them stays."""

import asyncio
import gc
import random
import tracemalloc
from collections import Counter
from typing import NamedTuple

from harness import Gateway, events, until
from moongate.simulator import Script, Simulator

CROWD = 200


async def test_200_streams_of_which_half_hang_up_leave_nothing_behind(gateway: Gateway, sim: Simulator) -> None:
    rests: list[Rest] = []
    tracemalloc.start()
    try:
        while not _came_back(rests) and len(rests) < 12:
            rests.append(await _round(gateway, sim, seed=len(rests)))
    finally:
        tracemalloc.stop()
    assert _came_back(rests), rests
    assert rests[-1].tasks <= max(rests[0].tasks, rests[1].tasks)


def _came_back(rests: "list[Rest]") -> bool:
    """Whether a round left no more than one three rounds before it, or earlier, had left.

    More or fewer connections are kept from one round to the next, so one round says little; but only a leak grows with
    every one. Half a percent is 100 bytes a stream: what leaks 34 bytes a stream can never come back.
    """
    return any(late.memory <= early.memory * 1.005 for n, early in enumerate(rests) for late in rests[n + 3 :])


async def test_a_crowd_is_told_apart_in_the_log(gateway: Gateway, sim: Simulator) -> None:
    whole, gone = await _crowd(gateway, sim, seed=4)
    await _at_rest(gateway, sim, keep_log=True)
    outcomes = Counter(record["outcome"] for record in gateway.records())
    assert outcomes["answered"] == whole
    assert 0 < outcomes["hung up"] <= gone  # some left before their request did
    assert len({record["request_id"] for record in gateway.records()}) == outcomes.total()


async def _round(gateway: Gateway, sim: Simulator, seed: int) -> "Rest":
    whole, gone = await _crowd(gateway, sim, seed)
    assert whole + gone == CROWD
    assert gone >= CROWD // 4
    return await _at_rest(gateway, sim)


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


class Rest(NamedTuple):
    memory: int
    tasks: int


async def _at_rest(gateway: Gateway, sim: Simulator, *, keep_log: bool = False) -> Rest:
    """What is left once everybody has noticed that everybody has gone. Raises TimeoutError if something stays."""
    async with asyncio.timeout(5):
        await sim.settled()
    await until(lambda: gateway.running.pool.statistics().leased == 0)
    await until(lambda: gateway.running.transport.statistics().open == 0)
    await until(lambda: not gateway.server.server_state.tasks)
    if not keep_log:
        gateway.log.clear()
    gc.collect()
    tasks = len(asyncio.all_tasks()) - sim.connections  # each kept connection of the simulator's has one
    return Rest(tracemalloc.get_traced_memory()[0], tasks)
