"""A conversation outlives the accounts that answered it, their tokens, and the process."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from moongate.simulator import Simulator
from moongate.simulator.web import WebScript
from processes import Command, moongate

USERS = ("ada", "bob", "cai")


class Talk:
    """A conversation by its path, and what was said in it."""

    def __init__(self, sim: Simulator, http: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.http = http
        self.said: list[str] = []

    async def turn(self, gateway: Command) -> None:
        number = len(self.said) // 2 + 1
        question, answer = f"Question {number}?", f"Answer {number}."
        self.sim.web.enqueue(WebScript(text=answer, thinking=f"Thought {number}", only_if_asked=True, piece=3))
        body = {"model": "k2", "stream": number % 2 == 0, "messages": [{"role": "user", "content": question}]}
        async with self.http.post(f"{gateway.url}/v1/chat/completions/trip", json=body) as reply:
            told = await reply.read()
            assert reply.status == 200, told
        self.said += [question, answer]
        assert self._asked() == self.said[:-1], f"turn {number}"

    def _asked(self) -> list[str]:
        """What was said before, in the order in which whoever answered last was told it."""
        last = self.sim.web.log[-1]
        assert last.state == "completed"
        told = "\n".join(text for _, text in last.context)
        places = {text: told.find(text) for text in self.said[:-1]}
        return sorted((text for text, place in places.items() if place >= 0), key=places.__getitem__)

    @property
    def answered_by(self) -> str:
        return self.sim.web.log[-1].user


def environ(sim: Simulator) -> dict[str, str]:
    tokens = ",".join(sim.web.user(user).refresh_token for user in USERS)
    return {"KIMI_TOKENS": tokens, "KIMI_WEB_BASE_URL": sim.url, "KIMI_WEB_AUTH_URL": sim.url, "API_PORT": "0"}


@pytest.fixture(params=["connect", "rest"])
async def talk(request: pytest.FixtureRequest, sim: Simulator) -> AsyncIterator[Talk]:
    sim.web.knobs.generations = request.param
    async with aiohttp.ClientSession() as http:
        yield Talk(sim, http)


@asynccontextmanager
async def started(directory: Path, given: dict[str, str]) -> AsyncIterator[Command]:
    """A gateway of its own process, which may be killed."""
    running = moongate("serve", "serve", directory=directory, environ=given)
    gateway = await asyncio.to_thread(running.__enter__)
    try:
        yield gateway
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


def kill(gateway: Command) -> None:
    gateway.process.send_signal(signal.SIGKILL)
    gateway.process.wait()


@pytest.mark.timeout(120)
async def test_twenty_turns_over_three_accounts_a_death_an_expiry_and_a_kill(talk: Talk, tmp_path: Path) -> None:
    sim, given = talk.sim, environ(talk.sim)
    async with started(tmp_path, given) as gateway:
        for _ in range(6):
            await talk.turn(gateway)
        first = talk.answered_by
        sim.web.user(first).end_login()
        sim.web.user(first).revoke_access()
        for _ in range(7, 12):
            await talk.turn(gateway)
        second = talk.answered_by
        assert second != first
        sim.web.user(second).revoke_access()
        for _ in range(12, 16):
            await talk.turn(gateway)
        kill(gateway)
    assert talk.answered_by == second
    chat = sim.web.log[-1].chat
    async with started(tmp_path, given) as gateway:
        for _ in range(16, 21):
            await talk.turn(gateway)
        assert talk.answered_by == second
    completed = [turn for turn in sim.web.log if turn.state == "completed"]
    assert len(completed) == 20
    if sim.web.knobs.generations == "connect":
        assert {turn.chat for turn in completed[6:]} == {chat}
        assert all(turn.prompt == f"Question {number}?" for number, turn in enumerate(completed, 1) if number != 7)
    assert sim.web.user(second).reuses == []


@pytest.mark.timeout(60)
async def test_what_was_half_told_when_the_process_was_killed_is_no_part_of_it(talk: Talk, tmp_path: Path) -> None:
    sim, given = talk.sim, environ(talk.sim)
    async with started(tmp_path, given) as gateway:
        await talk.turn(gateway)
        sim.web.enqueue(WebScript(text="never heard to its end " * 20, pause=0.02))
        body = {"model": "k2", "stream": True, "messages": [{"role": "user", "content": "Lost?"}]}
        async with talk.http.post(f"{gateway.url}/v1/chat/completions/trip", json=body) as reply:
            await reply.content.readany()
            kill(gateway)
    async with started(tmp_path, given) as gateway:
        await talk.turn(gateway)
        assert "Lost?" not in str(sim.web.log[-1].context)
