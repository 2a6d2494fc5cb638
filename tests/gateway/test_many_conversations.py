"""Many conversations at once over a few web accounts, while much goes wrong by chance: no turn is lost, doubled or put
out of order, and nothing is left behind."""

import asyncio
import json
import random
import re
from pathlib import Path

import pytest

from harness import Gateway, Serve, events, until
from moongate.simulator import Simulator

USERS = ("ada", "bob", "cai", "dan")
TALKERS, SECONDS = 10, 4.0
REFUSED = ("trailer before text", "trailer mid-text", "trailer after done", "exception mid-text")


class Talker:
    """One conversation, and what its caller knows to be said in it."""

    def __init__(self, number: int, gateway: Gateway, sim: Simulator) -> None:
        self.number = number
        self.chance = random.Random(number)
        self.gateway = gateway
        self.sim = sim
        self.said: list[dict[str, str]] = []
        self.turns = self.hung_up = 0

    async def talk(self, end: float) -> None:
        clock = asyncio.get_running_loop().time
        number = 0
        while clock() < end:
            number += 1
            await self.turn(f"Q{self.number}x{number}!", f"A{self.number}x{number}!")

    async def turn(self, question: str, answer: str) -> None:
        chance = self.chance
        asked = {"role": "user", "content": f"{question}\nsimulate-web: {json.dumps(self.script(answer))}"}
        history = self.said if self.said and chance.random() < 0.3 else []
        body = {"model": "k2", "stream": chance.random() < 0.6, "messages": [*history, asked]}
        kept = [*self.said, asked, {"role": "assistant", "content": answer}]
        url = f"{self.gateway.chat_url}/talk-{self.number}"
        if chance.random() < 0.15:
            async with self.gateway.http.post(url, json=body):
                await asyncio.sleep(chance.random() * 0.03)
            self.hung_up += 1
            await asyncio.sleep(0.05)
            known = await self.history()
            assert known in (self.said, kept)
            self.said = known
            return
        async with self.gateway.http.post(url, json=body) as reply:
            data = await reply.read()
        if reply.status != 200 or (body["stream"] and b"[DONE]" not in data):
            return
        assert spoken(data) == answer
        self.said = kept
        self.turns += 1
        self.check(question)

    def script(self, answer: str) -> dict[str, object]:
        chance = self.chance
        script = {"text": answer, "piece": chance.choice([1, 3, 12]), "pause": chance.choice([0, 0, 0.003])}
        trouble = chance.random()
        if trouble < 0.05:
            return {**script, "refuse": "overloaded_for_free_user", "refuse_when": chance.choice(REFUSED)}
        if trouble < 0.1:
            return {**script, "cut_after": chance.randint(1, 8)}
        return {**script, "omit_trailer": trouble < 0.13}

    async def history(self) -> list[dict[str, str]]:
        url = f"{self.gateway.url}/v1/conversations/talk-{self.number}/items?order=asc&limit=100"
        async with self.gateway.http.get(url) as reply:
            items = (await reply.json()).get("data", [])
        return [{"role": item["role"], "content": item["content"][0]["text"]} for item in items]

    def check(self, question: str) -> None:
        """Whoever answered was told all the questions, each once and in their order."""
        turn = next(
            seen for seen in reversed(self.sim.web.log) if question in seen.prompt and seen.state == "completed"
        )
        told = re.findall(rf"Q{self.number}x\d+!", "\n".join(text for _, text in turn.context))
        assert told == [said["content"].partition("\n")[0] for said in self.said if said["role"] == "user"]


def spoken(data: bytes) -> str:
    if data.startswith(b"{"):
        return str(json.loads(data)["choices"][0]["message"]["content"])
    chunks = [event for event in events(data) if isinstance(event, dict)]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


@pytest.mark.parametrize("generation", ["connect", "rest"])
async def test_nothing_is_lost_doubled_or_left_behind(
    sim: Simulator, serve: Serve, tmp_path: Path, generation: str
) -> None:
    sim.web.knobs.generations = generation
    table = '[[accounts]]\nname = "{}"\nupstream = "kimi-web"\ncredential = "{}"\nrpm = 100000\n'
    tables = [table.format(user, sim.web.user(user).refresh_token) for user in USERS]
    (tmp_path / "moongate.toml").write_text("".join(tables))
    async with serve({"KIMI_WEB_BASE_URL": sim.url, "KIMI_WEB_AUTH_URL": sim.url}) as gateway:
        end = asyncio.get_running_loop().time() + SECONDS
        talkers = [Talker(number, gateway, sim) for number in range(TALKERS)]
        async with asyncio.TaskGroup() as tasks:
            for talker in talkers:
                tasks.create_task(talker.talk(end))
            for user in USERS:
                await asyncio.sleep(SECONDS / 5)
                sim.web.user(user).revoke_access()
        assert sum(talker.turns for talker in talkers) > TALKERS
        assert any(talker.hung_up for talker in talkers)
        await until(lambda: not gateway.running.errands and gateway.running.pool.statistics().leased == 0, 10)
        assert not [entry for entry in gateway.log if entry["event"] == "bug"]
        assert not any(sim.web.user(user).reuses for user in USERS)
        left = [chat for chat in sim.web.chats.all.values() if not chat.is_deleted]
        unknown = sum(talker.hung_up for talker in talkers)  # who hung up before a chat had said its name
        assert len(left) <= TALKERS + unknown
