"""Conversations in the database: all of them at a start, and then the changes to them."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
import sqlalchemy
import structlog
from sqlalchemy import Executable, Insert, bindparam, delete, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from moongate.conversations.record import Change, Key, Said, Stored
from moongate.core.turn import Anchor
from moongate.storage.sql.database import Database
from moongate.storage.sql.net import Net, net_changes
from moongate.storage.sql.schema import CONVERSATIONS, MESSAGES

READ_AT_ONCE, BYTES_AT_ONCE = 100, 4 * 1024 * 1024
"""Conversations whose messages are asked for together, and how large they are together, unless one alone is larger."""

_log = structlog.get_logger()
_anchor = msgspec.json.Decoder(Anchor).decode

_HEADS = select(CONVERSATIONS).order_by(CONVERSATIONS.c.used_at.desc(), CONVERSATIONS.c.owner, CONVERSATIONS.c.id)
_REMOVE = delete(CONVERSATIONS).where(
    CONVERSATIONS.c.owner == bindparam("of_owner"), CONVERSATIONS.c.id == bindparam("of_id")
)
_CUT = delete(MESSAGES).where(
    MESSAGES.c.owner == bindparam("of_owner"),
    MESSAGES.c.conversation_id == bindparam("of_id"),
    MESSAGES.c.position >= bindparam("cut"),
)
_SAY = MESSAGES.insert()
_SIZES = select(MESSAGES.c.owner, MESSAGES.c.conversation_id, func.sum(func.length(MESSAGES.c.body))).group_by(
    MESSAGES.c.owner, MESSAGES.c.conversation_id
)


def _use(insert: sqlite.Insert | postgresql.Insert) -> Insert:
    later = {"used_at": insert.excluded.used_at, "anchor": insert.excluded.anchor}
    return insert.on_conflict_do_update(index_elements=["owner", "id"], set_=later)


_USE: Final[Mapping[str, Insert]] = {
    "sqlite": _use(sqlite.insert(CONVERSATIONS)),
    "postgresql": _use(postgresql.insert(CONVERSATIONS)),
}

Row: TypeAlias = dict[str, object]
Head: TypeAlias = sqlalchemy.Row[tuple[str, str, float, float, str | None]]
Placed: TypeAlias = dict[int, Said]
"""Messages by their position."""


class StoredConversations:
    """Raises SQLAlchemyError, OSError or TimeoutError where the database does not do what it is asked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> AsyncIterator[Stored]:
        """Those used last come first. A conversation that lacks a message ends before it."""
        async with self._database.reading() as connection:
            heads = (await connection.execute(_HEADS)).all()
            sizes = {Key(owner, name): int(size) for owner, name, size in await connection.execute(_SIZES)}
        for some, size in _parts(heads, sizes):
            async with self._database.reading(size) as connection:
                said = await _said(connection, [Key(head.owner, head.id) for head in some])
            for head in some:
                key = Key(head.owner, head.id)
                yield Stored(key, head.created_at, head.used_at, _whole(key, said[key]), _read(key, head.anchor))

    async def apply(self, changes: Sequence[Change]) -> None:
        """All or none of them. Applied once more, from any of them on, they come to the same."""
        nets = net_changes(changes)
        if not nets:
            return
        rows = [row for key, net in nets.items() if net.exists for row in _messages(key, net)]
        size = sum(len(said.body) for net in nets.values() for said in net.said.values())
        async with self._database.writing(size) as connection:
            await _many(connection, _REMOVE, [_of(key) for key, net in nets.items() if net.removes])
            used = {key: net for key, net in nets.items() if net.exists}
            use = _USE[connection.dialect.name]
            await _many(connection, use, [_head(key, net) for key, net in used.items()])
            await _many(connection, _CUT, [{**_of(key), "cut": net.cut} for key, net in used.items()])
            await _many(connection, _SAY, rows)


def _parts(heads: Iterable[Head], sizes: Mapping[Key, int]) -> Iterator[tuple[list[Head], int]]:
    """What is read at once, and its size in bytes."""
    part: list[Head] = []
    size = 0
    for head in heads:
        more = sizes.get(Key(head.owner, head.id), 0)
        if part and (len(part) >= READ_AT_ONCE or size + more > BYTES_AT_ONCE):
            yield part, size
            part, size = [], 0
        part.append(head)
        size += more
    if part:
        yield part, size


async def _many(connection: AsyncConnection, statement: Executable, rows: Sequence[Row]) -> None:
    if rows:
        await connection.execute(statement, rows)


async def _said(connection: AsyncConnection, keys: Sequence[Key]) -> Mapping[Key, Placed]:
    named = tuple_(MESSAGES.c.owner, MESSAGES.c.conversation_id)
    rows = await connection.execute(select(MESSAGES).where(named.in_([(key.owner, key.id) for key in keys])))
    found: defaultdict[Key, Placed] = defaultdict(dict)
    for owner, name, position, dialect, body in rows:
        found[Key(owner, name)][position] = Said(dialect, body)
    return found


def _whole(key: Key, placed: Placed) -> tuple[Said, ...]:
    whole = next(count for count in range(len(placed) + 1) if count not in placed)
    if whole < len(placed):
        _log.error("conversation cut short", conversation=key.id, messages=whole, lost=len(placed) - whole)
    return tuple(placed[position] for position in range(whole))


def _read(key: Key, anchor: str | None) -> Anchor | None:
    """What cannot be read is given up: the upstream is told everything again."""
    try:
        return _anchor(anchor) if anchor is not None else None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        _log.warning("anchor dropped", conversation=key.id, reason=str(error))
        return None


def _of(key: Key) -> Row:
    return {"of_owner": key.owner, "of_id": key.id}


def _head(key: Key, net: Net) -> Row:
    anchor = msgspec.json.encode(net.anchor).decode() if net.anchor is not None else None
    return {"owner": key.owner, "id": key.id, "created_at": net.created_at, "used_at": net.used_at, "anchor": anchor}


def _messages(key: Key, net: Net) -> Iterator[Row]:
    for position, said in net.said.items():
        yield {
            "owner": key.owner,
            "conversation_id": key.id,
            "position": position,
            "dialect": said.dialect,
            "body": said.body,
        }
