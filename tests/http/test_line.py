"""The line to a caller, played by hand: who hangs up, who stops reading, who only waits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from moongate.http.line import HungUp, Line

Receive = Callable[[], Awaitable[dict[str, object]]]


class Caller:
    """One end of the line. `reads`: whether our bytes are taken."""

    def __init__(self, *, reads: bool = True) -> None:
        self.sent: list[dict[str, object]] = []
        self.gone = asyncio.Event()
        self._reads = reads

    async def receive(self) -> dict[str, object]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, object]) -> None:
        self.sent.append(message)
        if not self._reads:
            await asyncio.Event().wait()


def _line(caller: Caller, heartbeat: float | None = None, beats: list[float] | None = None, stuck: float = 60) -> Line:
    async def beat() -> None:
        if beats is not None:
            beats.append(asyncio.get_running_loop().time())

    return Line(caller.receive, caller.send, heartbeat, beat, stuck)


async def test_a_hang_up_ends_whatever_is_waited_for() -> None:
    caller = Caller()
    asyncio.get_running_loop().call_later(0.05, caller.gone.set)
    with pytest.raises(HungUp):
        async with _line(caller):
            await asyncio.sleep(10)


async def test_what_is_held_is_released_from_the_inside_out() -> None:
    released: list[str] = []

    @asynccontextmanager
    async def holding(name: str) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.sleep(0)  # to release may take a moment of its own
            released.append(name)

    caller = Caller()
    asyncio.get_running_loop().call_later(0.05, caller.gone.set)
    with pytest.raises(HungUp):
        async with _line(caller), holding("account"), holding("upstream"):
            await asyncio.sleep(10)
    assert released == ["upstream", "account"]


async def test_a_failure_of_the_work_itself_is_not_taken_for_a_hang_up() -> None:
    with pytest.raises(KeyError):
        async with _line(Caller()):
            raise KeyError("x")


async def test_a_cancellation_from_elsewhere_is_not_taken_for_a_hang_up() -> None:
    async def work() -> None:
        async with _line(Caller()):
            await asyncio.sleep(10)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_after_the_last_byte_a_caller_may_go() -> None:
    caller = Caller()
    async with _line(caller) as line:
        await line.finish(b"all")
        caller.gone.set()
        await asyncio.sleep(0.05)
    assert caller.sent[-1]["more_body"] is False


async def test_who_does_not_read_counts_as_gone() -> None:
    caller = Caller(reads=False)
    with pytest.raises(HungUp):
        async with asyncio.timeout(2), _line(caller, stuck=0.1) as line:
            await line.write(b"data")


async def test_no_heartbeat_is_squeezed_into_bytes_that_are_on_their_way() -> None:
    beats: list[float] = []
    caller = Caller(reads=False)
    with pytest.raises(HungUp):
        async with _line(caller, heartbeat=0.02, beats=beats, stuck=0.2) as line:
            await line.write(b"data")
    assert beats == []


async def test_who_does_not_read_counts_as_gone_also_when_it_is_a_heartbeat_that_waits() -> None:
    caller = Caller(reads=False)
    line: Line

    async def beat() -> None:
        await line.write(b": still working")

    line = Line(caller.receive, caller.send, 0.05, beat, 0.1)
    with pytest.raises(HungUp):
        async with asyncio.timeout(2), line:
            await asyncio.sleep(10)


@pytest.mark.parametrize("last", [True, False])
async def test_who_does_not_read_counts_as_gone_at_the_beginning_and_the_end(last: bool) -> None:
    with pytest.raises(HungUp):
        async with asyncio.timeout(2), _line(Caller(reads=False), stuck=0.1) as line:
            await (line.finish(b"all") if last else line.start(200, []))


async def test_a_watcher_that_fails_ends_the_work_with_its_failure() -> None:
    async def beat() -> None:
        raise KeyError("a bug")

    caller = Caller()
    with pytest.raises(KeyError):
        async with asyncio.timeout(2), Line(caller.receive, caller.send, 0.02, beat, 60):
            await asyncio.sleep(10)


async def test_the_work_is_not_let_go_for_a_silence_of_its_own() -> None:
    async with _line(Caller(), heartbeat=None, stuck=0.05) as line:
        await asyncio.sleep(0.2)
        await line.write(b"late")
        await asyncio.sleep(0.2)
        await line.finish()


async def test_silence_is_broken_at_intervals_and_talking_is_not_interrupted() -> None:
    beats: list[float] = []
    async with _line(Caller(), heartbeat=0.1, beats=beats) as line:
        for _ in range(6):
            await line.write(b"word")
            await asyncio.sleep(0.03)
        assert beats == []
        await asyncio.sleep(0.35)
        await line.finish()
    assert 2 <= len(beats) <= 4


async def test_nothing_is_left_running() -> None:
    before = asyncio.all_tasks()
    for end in (lambda caller: caller.gone.set(), lambda caller: None):
        caller = Caller()
        try:
            async with _line(caller, heartbeat=0.01) as line:
                end(caller)
                await asyncio.sleep(0.03)
                await line.finish()
        except HungUp:
            pass
        await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == before
