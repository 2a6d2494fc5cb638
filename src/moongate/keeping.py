"""Keeps conversations: reads at the start what was kept, and writes behind what becomes of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain, repeat
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from moongate.beside import beside
from moongate.conversations.conversations import Conversations
from moongate.conversations.record import Stored
from moongate.core.sealed import Sealed
from moongate.storage.outbox import FOLDER, Outbox
from moongate.storage.sql.conversations import StoredConversations
from moongate.storage.sql.database import Database
from moongate.storage.writer import Writer

SWEEP_EVERY = 30.0
"""Seconds between two looks for conversations that have ended by lying idle."""

PAUSES = (0.5, 1.0, 2.0, 5.0)
"""Seconds before a database that does not answer at the start is tried again; the last of them from then on."""

FAREWELL = 5.0
"""Seconds that what is not written yet may take when the gateway stops. What remains lies in the outbox."""

_log = structlog.get_logger()


@asynccontextmanager
async def kept(conversations: Conversations, home: Path, url: Sealed | None) -> AsyncIterator[None]:
    """For as long as the block lasts. `url` names the database, None one in the home.

    Where nothing can be kept, as in a home that cannot be written or that another gateway uses, conversations last as
    long as this process, and the log says so. Raises ValueError for what is no address of a database.
    """
    database = Database(url, home)
    async with AsyncExitStack() as held:
        held.push_async_callback(database.close)
        await held.enter_async_context(beside(_sweep(conversations)))
        try:
            outbox = Outbox(home / FOLDER)
        except (OSError, RuntimeError) as error:
            _log.error("conversations are not kept", reason=str(error))
            conversations.load(())
        else:
            held.callback(outbox.close)
            repository = StoredConversations(database)
            writer = Writer(outbox, repository)
            conversations.record = writer.record
            work = _read_and_write(conversations, database, repository, outbox, writer)
            await held.enter_async_context(beside(work))
            held.push_async_callback(writer.close, FAREWELL)
        yield


async def _read_and_write(
    conversations: Conversations,
    database: Database,
    repository: StoredConversations,
    outbox: Outbox,
    writer: Writer,
) -> None:
    """Nothing is written before all has been read: until then nobody goes on with any conversation."""
    conversations.load(await _read(database, repository), (change for _, change in outbox.pending()))
    await writer.run()


async def _read(database: Database, repository: StoredConversations) -> list[Stored]:
    """What was kept, however long the database takes to be there."""
    for pause in chain(PAUSES, repeat(PAUSES[-1])):
        try:
            await database.migrate()
            return [stored async for stored in repository.load()]
        except (SQLAlchemyError, OSError, TimeoutError, ValueError) as error:  # the last: of a newer version's making
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            _log.error("conversations cannot be read yet", database=database.name, reason=reason)
        await asyncio.sleep(pause)
    raise AssertionError("tried for ever")


async def _sweep(conversations: Conversations) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY)
        conversations.sweep()
