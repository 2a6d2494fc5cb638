"""Run by Alembic: the migrations go to the connection, and into the transaction, they are called with."""

from alembic import context

from moongate.storage.sql.migrate import VERSION_TABLE
from moongate.storage.sql.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
context.run_migrations()
