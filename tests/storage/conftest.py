"""Databases of both kinds, empty for every test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from databases import Server
from moongate.core.sealed import Sealed
from moongate.storage.sql.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Sealed | None:
    """Of an empty database; None for the one in the home."""
    if request.param == "sqlite":
        return None
    server: Server = request.getfixturevalue("server")
    return server.url(server.new_database())


@pytest.fixture
async def empty(url: Sealed | None, tmp_path: Path) -> AsyncIterator[Database]:
    """A database without tables."""
    database = Database(url, tmp_path)
    yield database
    await database.close()


@pytest.fixture
async def database(empty: Database) -> Database:
    await empty.migrate()
    return empty
