"""Many requests for a long time over accounts that keep failing: is an answer wrong, a lease lost, does memory grow?

`make soak` runs it for twenty minutes; a few seconds of it are part of the tests.

The gateway is a process of its own, as a person starts it; its upstream, the simulator, and the callers are this one.
Every request has words of its own, so that an answer is exactly these, or an error that says it is one, or wrong.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, it finds processes.py

from moongate.simulator import Simulator, simulator
from moongate.simulator.refusals import Refusal
from moongate.simulator.script import Script
from processes import Command, moongate

ACCOUNTS = 10
CALLERS = 64
RATE = 300.0
"""Requests a second that the callers try to keep up together."""
HANGS_UP = 0.03
"""The share of callers who go in the middle of their answer."""

LIMITED = Refusal(status=429, headers={"Retry-After": "1"}, body={"error": {"message": "slow down"}})
FAULTS = (
    (0.0100, Script(cut_after=2)),
    (0.0050, Script(close_after=2)),
    (0.0050, Script(malformed_after=3)),
    (0.0050, Script(refuse="server_error", error_after=2)),
    (0.0050, Script(drop_before_headers=True)),
    (0.0050, Script(refuse="server_error")),
    (0.0050, Script(refuse="engine_overloaded")),
    (0.0050, Script(refuse="rate_limit_tpm")),
    (0.0030, Script(refuse=LIMITED)),
    (0.0010, Script(stall_after=2)),
    (0.0010, Script(silent_before_headers=60)),
    (0.0002, Script(refuse="invalid_authentication")),
    (0.0002, Script(refuse="ip_not_allowed")),
    (0.0002, Script(refuse="insufficient_balance")),
)
"""How often what befalls a request that reaches an account."""


@dataclass
class Tally:
    """What the requests came to. `wrong` tells each answer that was neither what was asked for nor an error."""

    whole: int = 0
    hung_up: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    attempts: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the start, and MiB the gateway holds."""
    leased: int = 0
    """Accounts still lent when nobody asks any more."""

    @property
    def requests(self) -> int:
        return self.whole + self.hung_up + self.errors.total() + len(self.wrong)

    def slope(self) -> float:
        """MiB a minute by which the gateway grew after its first fifth, by least squares."""
        points = self.memory[len(self.memory) // 5 :]
        if len(points) < 2:
            return 0.0
        mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
        spread = sum((x - mean_x) ** 2 for x, _ in points)
        return 60 * sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


async def soak(seconds: float, home: Path, *, progress: bool = False, seed: int = 1) -> Tally:
    """Callers ask for so long; then all is counted."""
    tally, chance = Tally(), random.Random(seed)
    async with simulator() as sim:
        sim.weather(seed, FAULTS)
        _write_settings(home, sim)
        with _gateway(home) as gateway:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
                began = time.monotonic()
                watching = asyncio.create_task(_watch(gateway, tally, began, progress=progress))
                async with asyncio.TaskGroup() as group:
                    for number in range(CALLERS):
                        group.create_task(_call(number, began + seconds, http, gateway, tally, chance))
                watching.cancel()
                await asyncio.sleep(1.0)  # who has just gone must have been noticed
                tally.leased = await _leased(http, gateway, home)
    return tally


async def _call(
    number: int,
    end: float,
    http: aiohttp.ClientSession,
    gateway: Command,
    tally: Tally,
    chance: random.Random,
) -> None:
    count, due = 0, time.monotonic() + chance.random() * CALLERS / RATE
    while (now := time.monotonic()) < end:
        count += 1
        await asyncio.sleep(max(0.0, due - now))
        due = max(due, now) + CALLERS / RATE
        words = f"caller {number} asked {count} times and got {chance.randbytes(chance.randrange(8, 200)).hex()}"
        stream, buffered = chance.random() < 0.6, chance.random() < 0.2
        goes = stream and chance.random() < HANGS_UP
        await _ask(words, http, gateway, tally, stream=stream, buffered=buffered, goes=goes)


async def _ask(
    words: str, http: aiohttp.ClientSession, gateway: Command, tally: Tally, *, stream: bool, buffered: bool, goes: bool
) -> None:
    content = "simulate: " + json.dumps({"text": words, "reasoning": ""})
    body = {"model": "kimi-k3", "stream": stream, "messages": [{"role": "user", "content": content}]}
    headers = {"x-moongate-buffered": "true"} if buffered else {}
    async with http.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers) as reply:
        tally.attempts += int(reply.headers.get("x-moongate-attempts", "1"))
        if goes:
            await reply.content.readany()
            tally.hung_up += 1
            return
        data = await reply.read()
    _count(tally, words, _told_in_stream(data) if reply.content_type == "text/event-stream" else _told_whole(data))


def _count(tally: Tally, words: str, told: tuple[str, str, bool]) -> None:
    text, error, complete = told
    if error and not complete:
        tally.errors[error] += 1
    elif complete and text == words and not error:
        tally.whole += 1
    else:
        tally.wrong.append(f"asked for {words!r}, got {told!r}")


def _told_in_stream(data: bytes) -> tuple[str, str, bool]:
    """The text, the code of the error, and whether it says that it is complete."""
    lines = [line.removeprefix(b"data: ") for line in data.split(b"\n") if line.startswith(b"data: ")]
    text, error, reason = "", "", None
    for line in lines:
        if line == b"[DONE]":
            continue
        chunk = json.loads(line)
        if "error" in chunk:
            error = str(chunk["error"]["code"])
        for choice in chunk.get("choices", ()):
            text += choice["delta"].get("content") or ""
            reason = choice["finish_reason"] or reason
    return text, error, bool(lines) and lines[-1] == b"[DONE]" and reason == "stop"


def _told_whole(data: bytes) -> tuple[str, str, bool]:
    value = json.loads(data)
    if "error" in value:
        return "", str(value["error"]["code"]), False
    (choice,) = value["choices"]
    return choice["message"]["content"], "", choice["finish_reason"] == "stop"


async def _watch(gateway: Command, tally: Tally, began: float, *, progress: bool) -> None:
    for second in range(1, 1_000_000):
        await asyncio.sleep(1)
        passed = time.monotonic() - began
        tally.memory.append((passed, _memory(gateway.process.pid)))
        if progress and second % 10 == 0:
            rate, held = tally.requests / passed, tally.memory[-1][1]
            _say(f"{passed:6.0f} s  {tally.requests} requests, {rate:.0f}/s, {held:.1f} MiB, {len(tally.wrong)} wrong")


def _memory(pid: int) -> float:
    """MiB the process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


async def _leased(http: aiohttp.ClientSession, gateway: Command, home: Path) -> int:
    token = json.loads((home / ".moongate" / "running.json").read_text())["token"]
    async with http.get(f"{gateway.url}/admin/accounts", headers={"authorization": f"Bearer {token}"}) as reply:
        return sum(account["leased"] for account in (await reply.json())["accounts"])


def _write_settings(home: Path, sim: Simulator) -> None:
    tables = [
        f'[[accounts]]\nname = "a{number}"\nupstream = "moonshot"\n'
        f'credential = "sk-example-account-{number:04}"\nbase_url = "{sim.platform}"\nmax_concurrency = 12\n'
        for number in range(ACCOUNTS)
    ]
    text = "".join(tables)
    tomllib.loads(text)
    (home / "moongate.toml").write_text(text)


@contextmanager
def _gateway(home: Path) -> Iterator[Command]:
    quiet = {"LOG_LEVEL": "ERROR", "REQUEST_TIMEOUT": "2", "MOONGATE_STALL_TIMEOUT": "2", "API_PORT": "0"}
    with moongate("gateway", "serve", directory=home, environ=quiet) as command:
        yield command


def told(tally: Tally, seconds: float) -> str:
    errors = ", ".join(f"{count} {code}" for code, count in tally.errors.most_common()) or "none"
    first, last = (tally.memory[place][1] for place in (len(tally.memory) // 5, -1))
    return "\n".join(
        (
            f"{tally.requests} requests in {seconds:.0f} s, {tally.requests / seconds:.0f} a second",
            f"  answered whole  {tally.whole}, in {tally.attempts} attempts for {tally.requests} requests",
            f"  hung up         {tally.hung_up}",
            f"  errors          {errors}",
            f"  WRONG           {len(tally.wrong)}",
            f"  leases left     {tally.leased}",
            f"  memory          {first:.1f} MiB, at the end {last:.1f} MiB: {tally.slope():+.3f} MiB a minute",
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        tally = asyncio.run(soak(given.minutes * 60, Path(home), progress=True, seed=given.seed))
    _say(told(tally, given.minutes * 60))
    for wrong in tally.wrong[:10]:
        _say(wrong)
    return 1 if tally.wrong or tally.leased else 0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
