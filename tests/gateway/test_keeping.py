"""Conversations are kept in a database that nobody waits for: slow, locked, frozen or gone, it fails no request."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from conftest import PLATFORM_KEY
from databases import Server
from harness import Gateway, Serve, until
from moongate.simulator import Script, Simulator


class Place:
    """Where they are kept, and how that is put out of action."""

    def __init__(self, home: Path, server: Server | None, url: str) -> None:
        self.home = home
        self.server = server
        self.url = url

    @contextmanager
    def stopped(self) -> Iterator[None]:
        if self.server is None:
            with self.locked():
                yield
            return
        self.server.stop()
        try:
            yield
        finally:
            self.server.start()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Somebody else holds all of it."""
        holder = sqlite3.connect(self.home / "moongate.db", isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            holder.close()

    def frozen(self) -> AbstractContextManager[None]:
        return self.locked() if self.server is None else self.server.frozen()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    home = tmp_path / ".moongate"
    if request.param == "sqlite":
        return Place(home, None, "")
    server: Server = request.getfixturevalue("server")
    return Place(home, server, server.url(server.new_database()).reveal())


def environ(sim: Simulator, place: Place) -> dict[str, str]:
    return {"KIMI_API_KEY": PLATFORM_KEY, "KIMI_BASE_URL": sim.platform, "MOONGATE_DATABASE_URL": place.url}


class Talk:
    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.said: list[str] = []
        self.slowest = 0.0

    async def turn(self, gateway: Gateway) -> None:
        number = len(self.said) // 2
        self.sim.enqueue(Script(text=f"answer {number}"))
        body = {"model": "kimi-k3", "messages": [{"role": "user", "content": f"question {number}"}]}
        began = time.monotonic()
        async with gateway.http.post(f"{gateway.chat_url}/trip", json=body) as reply:
            assert reply.status == 200, await reply.text()
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.said += [f"question {number}", f"answer {number}"]
        asked = [seen for seen in self.sim.seen if seen.path.endswith("/chat/completions")][-1]
        assert [message["content"] for message in asked.json["messages"]] == self.said[:-1]


def outbox(place: Place) -> list[Path]:
    return list((place.home / "outbox").glob("*.log")) or list((place.home / "outbox").glob("[0-9]*"))


async def test_it_goes_on_after_a_restart(sim: Simulator, serve: Serve, place: Place) -> None:
    talk = Talk(sim)
    for _ in range(3):
        async with serve(environ(sim, place)) as gateway:
            await talk.turn(gateway)
            await talk.turn(gateway)


async def test_what_is_in_the_database_is_enough(sim: Simulator, serve: Serve, place: Place) -> None:
    talk = Talk(sim)
    async with serve(environ(sim, place)) as gateway:
        await talk.turn(gateway)
    for path in outbox(place):
        path.unlink()
    async with serve(environ(sim, place)) as gateway:
        await talk.turn(gateway)


@pytest.mark.parametrize("trouble", ["stopped", "frozen"])
@pytest.mark.timeout(120)
async def test_while_it_is_away_no_request_fails_or_waits_and_nothing_is_lost(
    sim: Simulator, serve: Serve, place: Place, trouble: str
) -> None:
    talk = Talk(sim)
    async with serve(environ(sim, place)) as gateway:
        await talk.turn(gateway)
        away = place.stopped() if trouble == "stopped" else place.frozen()
        await asyncio.to_thread(away.__enter__)
        for _ in range(8):
            await talk.turn(gateway)
            await asyncio.sleep(0.1)
        assert talk.slowest < 2
        await asyncio.to_thread(away.__exit__, None, None, None)
        await talk.turn(gateway)
    async with serve(environ(sim, place)) as gateway:
        await talk.turn(gateway)


@pytest.mark.timeout(120)
async def test_what_it_never_got_is_there_after_a_restart(sim: Simulator, serve: Serve, place: Place) -> None:
    talk = Talk(sim)
    async with serve(environ(sim, place)) as gateway:
        await talk.turn(gateway)
        away = place.stopped()
        await asyncio.to_thread(away.__enter__)
        await talk.turn(gateway)
        await talk.turn(gateway)
    await asyncio.to_thread(away.__exit__, None, None, None)
    async with serve(environ(sim, place)) as gateway:
        await talk.turn(gateway)


@pytest.mark.timeout(120)
async def test_a_start_without_it_serves_who_needs_no_history_and_the_rest_wait(
    sim: Simulator, serve: Serve, place: Place
) -> None:
    talk = Talk(sim)
    async with serve(environ(sim, place)) as gateway:
        await talk.turn(gateway)
    away = place.stopped()
    await asyncio.to_thread(away.__enter__)
    async with serve(environ(sim, place)) as gateway:
        async with gateway.ask("hello") as reply:
            assert reply.status == 200
        going_on = asyncio.create_task(talk.turn(gateway))
        await asyncio.sleep(0.3)
        assert not going_on.done()
        await asyncio.to_thread(away.__exit__, None, None, None)
        await going_on


async def test_a_home_that_cannot_be_written_costs_the_keeping_and_nothing_else(
    sim: Simulator, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / ".moongate").write_text("no folder")
    talk = Talk(sim)
    async with serve({"KIMI_API_KEY": PLATFORM_KEY, "KIMI_BASE_URL": sim.platform}) as gateway:
        await talk.turn(gateway)
        await talk.turn(gateway)
        await until(lambda: any(entry["event"] == "conversations are not kept" for entry in gateway.log))
