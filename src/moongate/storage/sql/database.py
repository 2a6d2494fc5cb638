"""The database: how it is reached, and that what does not answer is given up."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from moongate.core.sealed import Sealed
from moongate.storage.files import private_folder
from moongate.storage.sql.migrate import upgrade

FILE = "moongate.db"

SQLITE: Final = "sqlite+aiosqlite"
POSTGRESQL: Final = "postgresql+asyncpg"
DRIVERS: Final = {
    "sqlite": SQLITE,
    SQLITE: SQLITE,
    "postgres": POSTGRESQL,
    "postgresql": POSTGRESQL,
    POSTGRESQL: POSTGRESQL,
}

ANSWER_WITHIN = 10.0
"""Seconds a PostgreSQL server has for taking a connection, and a database for what is small."""

SLOWEST = 128 * 1024
"""Bytes a second: the slowest line on which what is large is waited for."""

MIGRATE_WITHIN = 120.0
"""Seconds the tables may take to be changed, those in which another process changes them included."""

FREE_WITHIN = 5.0
"""Seconds another process may write to a SQLite file before who wants to as well gives up."""

SETTINGS = (
    f"PRAGMA busy_timeout = {FREE_WITHIN * 1000:.0f}",  # first: the others may have to wait
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # what is committed is taken out of the outbox, and nobody waits for it
    "PRAGMA foreign_keys = ON",
)


class Cursor(Protocol):
    def execute(self, statement: str) -> object: ...
    def close(self) -> None: ...


class SqliteConnection(Protocol):
    isolation_level: str | None

    def cursor(self) -> Cursor: ...


class Database:
    """Made without touching anything. `url` names it; else it is a SQLite file in `home`.

    Raises ValueError, with a sentence for the operator that holds no password, for what is no address of a database.
    What uses it raises SQLAlchemyError, OSError or TimeoutError.
    """

    def __init__(self, url: Sealed | None, home: Path) -> None:
        self._url = database_url(url.reveal()) if url else URL.create(SQLITE, database=str(home / FILE))
        self.is_sqlite = self._url.drivername == SQLITE
        self._engine = _sqlite(self._url) if self.is_sqlite else _postgresql(self._url)

    @property
    def name(self) -> str:
        """As it may be shown: without user and password."""
        return str(self._url.database) if self.is_sqlite else f"{self._url.host or ''}/{self._url.database or ''}"

    @asynccontextmanager
    async def reading(self, size: int = 0) -> AsyncIterator[AsyncConnection]:
        """`size`: how many bytes will be read."""
        async with asyncio.timeout(ANSWER_WITHIN + size / SLOWEST), self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self, size: int = 0, within: float = 0.0) -> AsyncIterator[AsyncConnection]:
        """One transaction; nobody else writes to a SQLite file meanwhile. `size`: how many bytes will be written;
        `within`: seconds it may take, if more."""
        async with asyncio.timeout(max(within, ANSWER_WITHIN + size / SLOWEST)), self._engine.connect() as connection:
            await connection.execution_options(writes=True)
            async with connection.begin():
                yield connection

    async def migrate(self) -> None:
        """Bring the tables to where this version wants them; safe where several processes start at once.

        Raises ValueError, with a sentence for the operator, for a database that is of a newer version.
        """
        if self.is_sqlite:
            await asyncio.to_thread(_prepare, Path(str(self._url.database)))
        async with self.writing(within=MIGRATE_WITHIN) as connection:
            await connection.run_sync(upgrade)

    async def close(self) -> None:
        await self._engine.dispose()


def database_url(text: str) -> URL:
    """Raises ValueError, with a sentence that holds nothing of `text`."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("the address of the database cannot be read") from None
    driver = DRIVERS.get(url.drivername)
    if driver is None:
        raise ValueError("the database has to be sqlite:///… or postgresql://…")
    if driver == SQLITE and (
        url.host or url.database in {None, "", ":memory:"} or str(url.database).startswith("file:")
    ):
        raise ValueError("a SQLite database has to name a file: sqlite:///relative/path or sqlite:////absolute/path")
    return url.set(drivername=driver)


def _prepare(path: Path) -> None:
    """The file is its owner's alone before anything is in it; SQLite gives those beside it the same mode."""
    private_folder(path.parent)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _sqlite(url: URL) -> AsyncEngine:
    engine = create_async_engine(url, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _set_up)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _set_up(connection: SqliteConnection, _: object) -> None:
    connection.isolation_level = (
        None  # the driver begins no transactions of its own: it would not for changes of tables
    )
    cursor = connection.cursor()
    for setting in SETTINGS:
        cursor.execute(setting)
    cursor.close()


def _begin(connection: Connection) -> None:
    """Who begins by reading and then writes may find that somebody else has written in between."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgresql(url: URL) -> AsyncEngine:
    """The address goes to the driver as it is: it knows more of what may stand in one, such as `sslmode`."""
    arguments = {
        "dsn": url.set(drivername="postgresql").render_as_string(hide_password=False),
        "timeout": ANSWER_WITHIN,
        "server_settings": {"application_name": "moongate"},
    }
    bare = URL.create(POSTGRESQL)
    return create_async_engine(bare, connect_args=arguments, hide_parameters=True, pool_pre_ping=True, pool_size=2)
