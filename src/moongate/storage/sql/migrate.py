"""Brings a database's tables to the newest revision."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

SCRIPTS = "moongate.storage.sql:migrations"

VERSION_TABLE = "moongate_revision"
"""Not Alembic's usual name: a database may be shared with others that use it."""

LOCK = 0x6D6F6F6E67617465
"""The number by which processes that migrate the same PostgreSQL database keep out of each other's way."""


def upgrade(connection: Connection, revision: str = "head") -> None:
    """In the transaction the connection is in, which on SQLite has to be one that writes.

    Raises ValueError, with a sentence for the operator, for a database that is of a newer version.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", SCRIPTS)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads()
    if unknown := set(found) - known:
        names = ", ".join(sorted(unknown))
        message = f"the database was written by a newer Moongate (revision {names}): run that one, or name another"
        raise ValueError(message)
    command.upgrade(config, revision)
