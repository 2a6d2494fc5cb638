"""What was recorded reaches the database in order, whatever fails in between; and what fails is told, not repeated."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import structlog
from sqlalchemy.exc import SQLAlchemyError
from structlog.typing import EventDict

from databases import Server
from moongate.conversations.record import Advanced, Change, Key, Said
from moongate.core.sealed import Sealed
from moongate.storage.outbox import Outbox
from moongate.storage.sql import database as sql_database
from moongate.storage.sql.conversations import StoredConversations
from moongate.storage.sql.database import Database
from moongate.storage.writer import Pace, Repository, Writer
from storage.disks import no_file_beyond

KEY = Key("0f" * 16, "one")
QUICK = Pace(soonest=0.01, latest=0.05, sync=0.02, quiet=60.0)


def change(number: int) -> Change:
    return Advanced(KEY, number, number, (Said("openai-chat", b"%d" % number),), None)


class Memory:
    """A database that fails with each of `failures` in turn, and works after them; `open` lets it answer at all."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = [*failures]
        self.applied: list[Change] = []
        self.batches = 0
        self.open = asyncio.Event()
        self.open.set()

    async def apply(self, changes: Sequence[Change]) -> None:
        await self.open.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.batches += 1
        self.applied += changes


@contextmanager
def outbox(folder: Path) -> Iterator[Outbox]:
    box = Outbox(folder)
    try:
        yield box
    finally:
        box.close()


@asynccontextmanager
async def running(folder: Path, repository: Repository, pace: Pace = QUICK) -> AsyncIterator[Writer]:
    with outbox(folder) as box:
        writer = Writer(box, repository, pace)
        task = asyncio.create_task(writer.run())
        try:
            yield writer
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def drained(writer: Writer, within: float = 20.0) -> None:
    async with asyncio.timeout(within):
        while writer.backlog:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


def told(log: list[EventDict]) -> list[str]:
    return [entry["event"] for entry in log]


async def test_what_is_recorded_is_written_in_order_and_in_batches(tmp_path: Path) -> None:
    memory = Memory()
    async with running(tmp_path, memory) as writer:
        for number in range(50):
            writer.record(change(number))
        assert writer.backlog == 50
        await drained(writer)
    assert memory.applied == [change(number) for number in range(50)]
    assert memory.batches < 5


async def test_what_an_earlier_process_left_is_written_first(tmp_path: Path) -> None:
    with outbox(tmp_path) as box:
        box.append(change(0))
    memory = Memory()
    async with running(tmp_path, memory) as writer:
        writer.record(change(1))
        await drained(writer)
    assert memory.applied == [change(0), change(1)]


async def test_a_database_that_fails_is_asked_again_until_it_works_and_told_once(tmp_path: Path) -> None:
    failures = [SQLAlchemyError("no"), OSError("no"), TimeoutError(), SQLAlchemyError("no"), OSError("no")]
    memory = Memory(*failures)
    with structlog.testing.capture_logs() as log:
        async with running(tmp_path, memory) as writer:
            for number in range(3):
                writer.record(change(number))
                await asyncio.sleep(0)
            await drained(writer)
    assert memory.applied == [change(number) for number in range(3)]
    assert [(entry["event"], entry["kind"]) for entry in log] == [
        ("changes wait for the database", kind) for kind in ("SQLAlchemyError", "OSError", "TimeoutError")
    ]


async def test_what_is_told_holds_no_password(tmp_path: Path) -> None:
    memory = Memory(OSError("cannot reach postgresql://user:sk-example-password@host/name\nand more"))
    with structlog.testing.capture_logs() as log:
        async with running(tmp_path, memory) as writer:
            writer.record(change(0))
            await drained(writer)
    assert "sk-example" not in str(log)
    assert "and more" not in str(log)


async def test_nobody_waits_for_a_database_that_hangs(tmp_path: Path) -> None:
    memory = Memory()
    memory.open.clear()
    async with running(tmp_path, memory) as writer:
        for number in range(10):
            writer.record(change(number))
            await asyncio.sleep(0.001)
        assert (writer.backlog, memory.applied) == (10, [])
        memory.open.set()
        await drained(writer)
    assert memory.applied == [change(number) for number in range(10)]


async def test_what_the_disk_cannot_take_is_held_told_and_written_in_its_place(tmp_path: Path) -> None:
    memory = Memory()
    memory.open.clear()
    with structlog.testing.capture_logs() as log:
        async with running(tmp_path, memory) as writer:
            writer.record(change(0))
            await asyncio.sleep(0.03)
            with no_file_beyond(0):
                for number in range(1, 4):
                    writer.record(change(number))
                assert writer.backlog == 4
            writer.record(change(4))
            assert writer.backlog == 5
            memory.open.set()
            await drained(writer)
    assert memory.applied == [change(number) for number in range(5)]
    assert told(log) == ["outbox cannot be written"]


async def test_while_the_disk_is_full_what_is_held_goes_to_the_database(tmp_path: Path) -> None:
    memory = Memory()
    with structlog.testing.capture_logs():
        async with running(tmp_path, memory) as writer:
            with no_file_beyond(0):
                for number in range(3):
                    writer.record(change(number))
                await drained(writer)
            writer.record(change(3))
            await drained(writer)
    assert memory.applied == [change(number) for number in range(4)]
    with outbox(tmp_path) as box:
        assert box.backlog == 0


async def test_what_comes_while_the_held_are_on_their_way_stays_behind_them(tmp_path: Path) -> None:
    memory = Memory()
    memory.open.clear()
    with structlog.testing.capture_logs():
        async with running(tmp_path, memory) as writer:
            with no_file_beyond(0):
                writer.record(change(0))
                await asyncio.sleep(0.1)
            writer.record(change(1))
            assert writer.backlog == 2
            memory.open.set()
            await drained(writer)
    assert memory.applied == [change(0), change(1)]


async def test_closing_writes_what_is_left_whether_it_runs_or_not(tmp_path: Path) -> None:
    memory = Memory(OSError("not yet"))
    with outbox(tmp_path) as box:
        writer = Writer(box, memory, QUICK)
        writer.record(change(0))
        assert await writer.close(5) == 0
        assert memory.applied == [change(0)]
        writer.record(change(1))
        task = asyncio.create_task(writer.run())
        assert await writer.close(5) == 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert memory.applied == [change(0), change(1)]


async def test_closing_gives_up_in_time_and_leaves_it_to_the_next_process(tmp_path: Path) -> None:
    memory = Memory()
    memory.open.clear()
    with outbox(tmp_path) as box:
        writer = Writer(box, memory, QUICK)
        writer.record(change(0))
        with structlog.testing.capture_logs() as log:
            assert await writer.close(0.1) == 1
        assert box.is_synced
    assert told(log) == ["changes left for the next start"]
    with outbox(tmp_path) as box:
        assert [one for _, one in box.pending()] == [change(0)]


async def test_it_is_synced_while_there_is_something_new(tmp_path: Path) -> None:
    memory = Memory()
    memory.open.clear()
    with outbox(tmp_path) as box:
        writer = Writer(box, memory, QUICK)
        task = asyncio.create_task(writer.run())
        writer.record(change(0))
        assert not box.is_synced
        async with asyncio.timeout(5):
            while not box.is_synced:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# With databases.


async def bodies(database: Database) -> list[bytes]:
    return [said.body async for stored in StoredConversations(database).load() for said in stored.said]


async def test_it_writes_to_a_database(database: Database, tmp_path: Path) -> None:
    async with running(tmp_path / "outbox", StoredConversations(database)) as writer:
        for number in range(700):
            writer.record(change(number))
        await drained(writer)
    assert await bodies(database) == [b"%d" % number for number in range(700)]


@pytest.mark.parametrize("trouble", ["frozen", "stopped"])
async def test_a_server_that_is_away_for_a_while_costs_nothing(
    server: Server, tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_database, "ANSWER_WITHIN", 0.5)
    url = server.url(await asyncio.to_thread(server.new_database))
    async with opened(url, tmp_path) as database:
        with structlog.testing.capture_logs() as log:
            async with running(tmp_path / "outbox", StoredConversations(database)) as writer:
                for number in range(20):
                    writer.record(change(number))
                await drained(writer)
                async with away(server, trouble):
                    for number in range(20, 300):
                        writer.record(change(number))
                        await asyncio.sleep(0.005)
                    assert writer.backlog == 280
                for number in range(300, 320):
                    writer.record(change(number))
                await drained(writer)
        assert set(told(log)) == {"changes wait for the database"}
        assert await bodies(database) == [b"%d" % number for number in range(320)]


@asynccontextmanager
async def opened(url: Sealed, home: Path) -> AsyncIterator[Database]:
    database = Database(url, home)
    await database.migrate()
    yield database
    await database.close()


@asynccontextmanager
async def away(server: Server, trouble: str) -> AsyncIterator[None]:
    if trouble == "frozen":
        with server.frozen():
            yield
        return
    await asyncio.to_thread(server.stop)
    yield
    await asyncio.to_thread(server.start)
