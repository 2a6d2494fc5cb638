"""The same of both databases: what is applied is loaded, however often; and the tables become what they are."""

import asyncio
import signal
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from databases import PASSWORD, Server
from moongate.conversations.record import Advanced, Change, Key, Removed, Said, Stored
from moongate.core.sealed import Sealed
from moongate.core.turn import Anchor
from moongate.storage.sql import database as sql_database
from moongate.storage.sql import migrate
from moongate.storage.sql.conversations import BYTES_AT_ONCE, READ_AT_ONCE, Head, StoredConversations, _parts
from moongate.storage.sql.database import Database, database_url
from moongate.storage.sql.schema import METADATA

AWAY = (SQLAlchemyError, OSError, TimeoutError)
OWNER = "0f" * 16
KEY = Key(OWNER, "one")
ANCHOR = Anchor("kimi-web", "first", "chat-1", "message-1", 2)


def said(*bodies: str) -> tuple[Said, ...]:
    return tuple(Said("openai-chat", body.encode()) for body in bodies)


def advanced(at: float, kept: int, *bodies: str, key: Key = KEY, anchor: Anchor | None = None) -> Advanced:
    return Advanced(key, at, kept, said(*bodies), anchor)


async def loaded(database: Database) -> list[Stored]:
    return [stored async for stored in StoredConversations(database).load()]


async def test_a_conversation_is_loaded_as_its_changes_left_it(database: Database) -> None:
    stored = StoredConversations(database)
    await stored.apply([advanced(1.5, 0, "hello", "hi there", anchor=ANCHOR)])
    assert await loaded(database) == [Stored(KEY, 1.5, 1.5, said("hello", "hi there"), ANCHOR)]
    await stored.apply([advanced(2.25, 1, "no, again", "\0 and \ud7ff")])
    assert await loaded(database) == [Stored(KEY, 1.5, 2.25, said("hello", "no, again", "\0 and \ud7ff"), None)]
    await stored.apply([Removed(KEY, 3.0)])
    assert await loaded(database) == []


async def test_who_was_used_last_comes_first_however_many_there_are(database: Database) -> None:
    keys = [Key(OWNER, f"c-{number}") for number in range(READ_AT_ONCE * 2 + 5)]
    await StoredConversations(database).apply(
        [advanced(number * 7 % 211, 0, key.id, key=key) for number, key in enumerate(keys)]
    )
    found = await loaded(database)
    assert len(found) == len(keys)
    assert [stored.used_at for stored in found] == sorted((stored.used_at for stored in found), reverse=True)
    assert all(stored.said == said(stored.key.id) for stored in found)


async def test_owners_do_not_share_a_name(database: Database) -> None:
    other = Key("1e" * 16, KEY.id)
    stored = StoredConversations(database)
    await stored.apply([advanced(1, 0, "mine"), advanced(2, 0, "theirs", key=other), Removed(KEY, 3)])
    assert await loaded(database) == [Stored(other, 2, 2, said("theirs"), None)]


async def test_a_conversation_made_anew_after_its_end_has_nothing_of_the_old_one(database: Database) -> None:
    stored = StoredConversations(database)
    await stored.apply([advanced(1, 0, "a", "b", "c", anchor=ANCHOR)])
    await stored.apply([Removed(KEY, 2), advanced(3, 0, "d")])
    assert await loaded(database) == [Stored(KEY, 3, 3, said("d"), None)]


async def test_all_or_nothing_is_applied(database: Database) -> None:
    """A number no database has room for, after many that there is room for."""
    changes: list[Change] = [advanced(1, 0, str(n), key=Key(OWNER, str(n))) for n in range(20)]
    with pytest.raises((*AWAY, OverflowError)):
        await StoredConversations(database).apply([*changes, advanced(1, 2**70, "far out")])
    assert await loaded(database) == []


async def test_a_conversation_that_lacks_a_message_ends_before_it(database: Database) -> None:
    await StoredConversations(database).apply([advanced(1, 0, "a", "b"), advanced(2, 4, "e")])
    assert [stored.said for stored in await loaded(database)] == [said("a", "b")]


async def test_an_anchor_nobody_can_read_is_dropped(database: Database) -> None:
    await StoredConversations(database).apply([advanced(1, 0, "a", anchor=ANCHOR)])
    async with database.writing() as connection:
        await connection.execute(text("UPDATE conversations SET anchor = '{'"))
    assert [(stored.said, stored.anchor) for stored in await loaded(database)] == [(said("a"), None)]


async def test_many_large_messages_are_written_and_read(database: Database) -> None:
    large = "0123456789abcdef" * 65536
    await StoredConversations(database).apply([advanced(1, 0, *([large] * 8))])
    (stored,) = await loaded(database)
    assert [len(one.body) for one in stored.said] == [2**20] * 8


# Sequences of changes.


def model(changes: Sequence[Change]) -> dict[Key, Stored]:
    """As anybody would write it who need not think of databases."""
    found: dict[Key, Stored] = {}
    for change in changes:
        match change:
            case Removed(key):
                found.pop(key, None)
            case Advanced(key, at, kept, new, anchor):
                before = found.get(key, Stored(key, at, at, (), None))
                found[key] = Stored(key, before.created_at, at, before.said[:kept] + new, anchor)
    return found


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    """As they can come about: nobody keeps more than there is."""
    lengths: dict[str, int] = {}
    changes: list[Change] = []
    for at in range(draw(st.integers(1, 12))):
        name = draw(st.sampled_from(["a", "b"]))
        if draw(st.integers(0, 5)) == 0:
            lengths[name] = 0
            changes.append(Removed(Key(OWNER, name), at))
            continue
        kept, count = draw(st.integers(0, lengths.get(name, 0))), draw(st.integers(0, 3))
        anchor = draw(st.sampled_from([None, ANCHOR]))
        bodies = [f"{at}.{position}" for position in range(count)]
        changes.append(advanced(at, kept, *bodies, key=Key(OWNER, name), anchor=anchor))
        lengths[name] = kept + count
    return changes


@pytest.mark.parametrize("size", [1, 3, 100])
@given(changes=histories(), again=st.integers(0, 12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_changes_come_to_the_same_in_any_batches_and_again_from_any_of_them_on(
    database: Database, size: int, changes: list[Change], again: int
) -> None:
    stored = StoredConversations(database)
    async with database.writing() as connection:
        await connection.execute(text("DELETE FROM conversations"))
    for sequence in (changes, changes[again:]):
        for start in range(0, len(sequence), size):
            await stored.apply(sequence[start : start + size])
    found = {one.key: one for one in await loaded(database)}
    expected = model(changes)
    assert found == {
        key: Stored(key, found[key].created_at, one.used_at, one.said, one.anchor) for key, one in expected.items()
    }
    assert {key: one.created_at for key, one in found.items()} == {key: one.created_at for key, one in expected.items()}


# Tables.

REVISIONS = [
    script.revision for script in ScriptDirectory(str(Path(migrate.__file__).parent / "migrations")).walk_revisions()
]


def differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "version_table": migrate.VERSION_TABLE}
    context = MigrationContext.configure(connection, opts=options)
    return [*compare_metadata(context, METADATA)]


@pytest.mark.parametrize("revision", [None, *REVISIONS])
async def test_every_older_database_becomes_what_the_tables_are(empty: Database, revision: str | None) -> None:
    if revision is not None:
        async with empty.writing() as connection:
            await connection.run_sync(migrate.upgrade, revision)
    await empty.migrate()
    async with empty.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_second_migration_leaves_everything_as_it_is(database: Database) -> None:
    await StoredConversations(database).apply([advanced(1, 0, "a")])
    await database.migrate()
    assert len(await loaded(database)) == 1


async def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    async with database.writing() as connection:
        await connection.execute(text(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(ValueError, match=r"newer Moongate \(revision 9999\)"):
        await database.migrate()


async def test_processes_that_start_at_once_migrate_once(url: Sealed | None, tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from moongate.core.sealed import Sealed\n"
        "from moongate.storage.sql.database import Database\n"
        "async def main():\n"
        "  database = Database(Sealed(sys.argv[2]) if sys.argv[2] else None, Path(sys.argv[1]))\n"
        "  print('ready', flush=True); sys.stdin.readline()\n"
        "  await database.migrate(); await database.close()\n"
        "asyncio.run(main())"
    )
    pipe = asyncio.subprocess.PIPE
    arguments = (str(tmp_path), url.reveal() if url else "")
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, *arguments, stdin=pipe, stdout=pipe, stderr=pipe
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    ended = await asyncio.gather(*(process.communicate(b"go\n") for process in started))
    assert [(process.returncode, errors.decode()) for process, (_, errors) in zip(started, ended, strict=True)] == [
        (0, "")
    ] * 4


# SQLite.


async def test_a_file_is_the_owners_alone_with_those_beside_it(tmp_path: Path) -> None:
    database = Database(None, tmp_path / "home")
    await database.migrate()
    await StoredConversations(database).apply([advanced(1, 0, "a")])
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "home").iterdir()}
    await database.close()
    assert files == {"moongate.db": 0o600, "moongate.db-wal": 0o600, "moongate.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


async def test_a_file_is_set_up_to_survive_a_crash_and_to_wait_for_others(tmp_path: Path) -> None:
    database = Database(None, tmp_path)
    await database.migrate()
    async with database.reading() as connection:
        found = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    await database.close()
    assert found == ["wal", 2, 1, 5000]


async def test_a_url_may_name_the_file(tmp_path: Path) -> None:
    database = Database(Sealed(f"sqlite:///{tmp_path}/other/place.db"), tmp_path)
    await database.migrate()
    await database.close()
    assert (tmp_path / "other" / "place.db").exists()


# Addresses.


@pytest.mark.parametrize(
    "address",
    [
        "mysql://user:secret@host/name",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:name?mode=memory",
        "sqlite://secret/name",
        "postgresql+psycopg://user:secret@host/name",
        "postgresql://user:secret@host:port/name",
        "secret",
        "",
    ],
)
def test_what_is_no_address_of_a_database_is_refused_without_being_told(address: str) -> None:
    with pytest.raises(ValueError, match="database") as caught:
        database_url(address)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
async def test_every_spelling_of_postgresql_leads_there(server: Server, scheme: str, tmp_path: Path) -> None:
    database = Database(server.url(scheme=scheme), tmp_path)
    async with database.reading() as connection:
        found = await connection.execute(text("SELECT current_setting('application_name')"))
        assert found.scalar() == "moongate"
    assert database.name == "127.0.0.1/postgres"
    await database.close()


async def test_what_the_driver_knows_may_stand_in_the_address(server: Server, tmp_path: Path) -> None:
    database = Database(Sealed(f"{server.url().reveal()}?sslmode=require"), tmp_path)
    with pytest.raises(AWAY, match=r"(?i)ssl"):
        await database.migrate()
    await database.close()


@pytest.mark.parametrize("wrong", ["password", "database", "server"])
async def test_no_error_tells_the_password(server: Server, wrong: str, tmp_path: Path) -> None:
    addresses = {
        "password": server.url(password="sk-example-wrong"),
        "database": server.url("nowhere"),
        "server": Sealed(server.url().reveal().replace(f":{server.port}/", ":1/")),
    }
    database = Database(addresses[wrong], tmp_path)
    with pytest.raises(AWAY) as caught:
        await database.migrate()
    await database.close()
    told = f"{caught.value} {caught.value!r} {caught.getrepr(style='short')}"
    assert PASSWORD not in told
    assert "sk-example-wrong" not in told
    assert "example%3A" not in told


# A server that is away.


async def test_a_frozen_server_is_given_up_and_used_again_when_it_is_back(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_database, "ANSWER_WITHIN", 0.5)
    database = Database(server.url(await asyncio.to_thread(server.new_database)), tmp_path)
    await database.migrate()
    stored = StoredConversations(database)
    await stored.apply([advanced(1, 0, "before")])
    with server.frozen():
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(AWAY):
                await stored.apply([advanced(2, 1, "meanwhile")])
            assert time.monotonic() - began < 6
    await stored.apply([advanced(2, 1, "meanwhile")])
    assert [one.said for one in await loaded(database)] == [said("before", "meanwhile")]
    await database.close()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGQUIT])
async def test_a_server_that_was_started_again_is_used_at_once(
    server: Server, tmp_path: Path, by: signal.Signals
) -> None:
    database = Database(server.url(await asyncio.to_thread(server.new_database)), tmp_path)
    await database.migrate()
    stored = StoredConversations(database)
    await stored.apply([advanced(1, 0, "before")])
    await asyncio.to_thread(server.stop, by)
    with pytest.raises(AWAY):
        await stored.apply([advanced(2, 1, "meanwhile")])
    await asyncio.to_thread(server.start)
    await stored.apply([advanced(2, 1, "after")])
    assert [one.said for one in await loaded(database)] == [said("before", "after")]
    await database.close()


# Time for what is large.


def heads(count: int) -> list[Head]:
    return [cast("Head", SimpleNamespace(owner="ada", id=str(number))) for number in range(count)]


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([1] * 250, [100, 100, 50]),
        ([BYTES_AT_ONCE] * 3, [1, 1, 1]),
        ([BYTES_AT_ONCE // 2, BYTES_AT_ONCE // 2, 1], [2, 1]),
        ([1, 10 * BYTES_AT_ONCE, 1], [1, 1, 1]),
        ([], []),
    ],
)
def test_what_is_read_at_once_is_bounded_by_number_and_by_size(sizes: list[int], parts: list[int]) -> None:
    known = {Key("ada", str(number)): size for number, size in enumerate(sizes)}
    found = list(_parts(heads(len(sizes)), known))
    assert [len(part) for part, _ in found] == parts
    assert sum(size for _, size in found) == sum(sizes)
