"""The tables, as the newest migration leaves them."""

from sqlalchemy import Column, Double, ForeignKeyConstraint, Index, Integer, LargeBinary, MetaData, Table, Text

METADATA = MetaData()

CONVERSATIONS = Table(
    "conversations",
    METADATA,
    Column("owner", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("used_at", Double, nullable=False),
    Column("anchor", Text),
    Index("conversations_used_at", "used_at"),
)
"""Moments in seconds since 1970; `anchor` is a `core.turn.Anchor` as JSON."""

MESSAGES = Table(
    "messages",
    METADATA,
    Column("owner", Text, primary_key=True),
    Column("conversation_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("dialect", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    ForeignKeyConstraint(["owner", "conversation_id"], ["conversations.owner", "conversations.id"], ondelete="CASCADE"),
)
"""`body` is the message as it came; `position` counts from 0."""
