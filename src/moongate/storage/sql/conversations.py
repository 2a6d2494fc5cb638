"""Conversations in the database: all of them at a start, and then the changes to them."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
import structlog
from sqlalchemy import Executable, Insert, bindparam, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from moongate.conversations.record import Change, Key, Said, Stored
from moongate.core.turn import Anchor
from moongate.storage.sql.database import Database
from moongate.storage.sql.net import Net, net_changes
from moongate.storage.sql.schema import CONVERSATIONS, MESSAGES

READ_AT_ONCE = 100
"""Conversations whose messages are asked for together."""

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


def _use(insert: sqlite.Insert | postgresql.Insert) -> Insert:
    later = {"used_at": insert.excluded.used_at, "anchor": insert.excluded.anchor}
    return insert.on_conflict_do_update(index_elements=["owner", "id"], set_=later)


_USE: Final[Mapping[str, Insert]] = {
    "sqlite": _use(sqlite.insert(CONVERSATIONS)),
    "postgresql": _use(postgresql.insert(CONVERSATIONS)),
}

Row: TypeAlias = dict[str, object]
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
        for start in range(0, len(heads), READ_AT_ONCE):
            some = heads[start : start + READ_AT_ONCE]
            async with self._database.reading() as connection:
                said = await _said(connection, [Key(head.owner, head.id) for head in some])
            for owner, name, created_at, used_at, anchor in some:
                key = Key(owner, name)
                yield Stored(key, created_at, used_at, _whole(key, said[key]), _read(key, anchor))

    async def apply(self, changes: Sequence[Change]) -> None:
        """All or none of them. Applied once more, from any of them on, they come to the same."""
        nets = net_changes(changes)
        if not nets:
            return
        async with self._database.writing() as connection:
            await _many(connection, _REMOVE, [_of(key) for key, net in nets.items() if net.removes])
            used = {key: net for key, net in nets.items() if net.exists}
            use = _USE[connection.dialect.name]
            await _many(connection, use, [_head(key, net) for key, net in used.items()])
            await _many(connection, _CUT, [{**_of(key), "cut": net.cut} for key, net in used.items()])
            await _many(connection, _SAY, [row for key, net in used.items() for row in _messages(key, net)])


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
