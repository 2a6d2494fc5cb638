"""A gateway and a simulator for every test that asks for them, each on a port of its own."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from databases import Server, postgresql
from harness import Gateway, Serve, served
from moongate.simulator import Simulator, simulator

PLATFORM_KEY = "sk-example-platform-key"
CODE_KEY = "sk-kimi-example-code-key"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with simulator() as server:
        yield server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """PostgreSQL, started when the first test asks for it."""
    with postgresql() as started:
        yield started


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Starts a gateway with exactly these variables set, in an empty directory."""

    def start(environ: Mapping[str, str] | None = None) -> AbstractAsyncContextManager[Gateway]:
        return served(environ or {}, tmp_path)

    return start


@pytest.fixture
async def gateway(sim: Simulator, serve: Serve) -> AsyncIterator[Gateway]:
    """A gateway with one account at each of the simulator's two products."""
    environ = {
        "KIMI_API_KEY": PLATFORM_KEY,
        "KIMI_BASE_URL": sim.platform,
        "KIMI_CODE_API_KEY": CODE_KEY,
        "KIMI_API_BASE_URL": sim.kimi_code,
    }
    async with serve(environ) as started:
        yield started
