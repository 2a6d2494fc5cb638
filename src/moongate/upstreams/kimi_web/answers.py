"""Reads the site's JSON answers member by member: what is not there, or is no such thing, is empty."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from moongate.upstreams.pages import is_page
from moongate.wire.http import HttpReply

ABSENT = frozenset({404, 405, 410, 501})

Members: TypeAlias = Mapping[str, object]

_object = msgspec.json.Decoder(dict[str, object]).decode


def said(body: bytes) -> Members:
    """The members of a JSON object; empty for what is none."""
    try:
        return _object(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def is_absent(reply: HttpReply) -> bool:
    """Whether nobody there knows such a call. Some sites say so with a status, others lead to their front page or show
    it. A page under another status is a firewall's, and tells nothing."""
    head = reply.head
    return head.status in ABSENT or 300 <= head.status < 400 or (head.status == 200 and is_page(head, reply.body))


def members(value: object) -> Members:
    return {name: member for name, member in value.items() if isinstance(name, str)} if isinstance(value, dict) else {}


def each(value: object) -> Iterator[Members]:
    """The objects in a list."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield members(item)


def word(told: Members, *names: str) -> str:
    """The first of these that is a text with something in it. The site writes camelCase and stand-ins snake_case."""
    for name in names:
        value = told.get(name)
        if isinstance(value, str) and value:
            return value
    return ""
