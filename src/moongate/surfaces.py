"""What is served where: a path, and the dialect spoken on it."""

from msgspec import Struct

from moongate.dialects.dialect import Server
from moongate.dialects.openai_chat.server import OpenAIChat

TWINS = ("", "/coding")
"""Prefixes under which everything is served alike, so that a base URL made for Kimi Code can be swapped unchanged."""


class Surface(Struct, frozen=True):
    path: str
    server: Server


SURFACES = tuple(Surface(f"{twin}/v1/chat/completions", OpenAIChat()) for twin in TWINS)
