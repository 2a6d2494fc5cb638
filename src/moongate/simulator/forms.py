"""What the login server reads and writes: forms in, small JSON objects out.

Shapes and error words as measured in 2026-08; where nothing was measured, RFC 6749 (5.2) gives the words.
"""

from typing import Final
from urllib.parse import parse_qsl

import msgspec

from moongate.simulator.values import JsonObject, dumps

CLIENT_ID: Final = "17e5f671-d194-4dfb-9706-5516cb48c098"
"""That of every official client, in both regions."""
_MOST_MEMBERS: Final = 50


class Reply(msgspec.Struct, frozen=True):
    """`lost`: all was done, but the answer never arrives."""

    status: int
    body: bytes
    lost: bool = False


def read_form(content_type: str, body: bytes) -> dict[str, str] | Reply:
    """The members that have a value, or why this is no form of an official client."""
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return refused("invalid_request", "The body must be a form")
    try:
        pairs = parse_qsl(body.decode(), max_num_fields=_MOST_MEMBERS, errors="strict")
    except ValueError:
        return refused("invalid_request", "The form cannot be read")
    members = dict(pairs)
    if len(members) < len(pairs):
        return refused("invalid_request", "A parameter is given more than once")
    if "client_id" not in members:
        return missing("client_id")
    return members if members["client_id"] == CLIENT_ID else refused("invalid_client", "The client is not known")


def plain(seconds: float) -> float:
    """Whole seconds are written without a point."""
    return int(seconds) if seconds == int(seconds) else seconds


def granted(access: str, refresh: str, seconds: float) -> Reply:
    return reply(
        200,
        {
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": plain(seconds),
            "scope": "kimi-code",
            "token_type": "Bearer",
        },
    )


def missing(member: str) -> Reply:
    return refused("invalid_request", f"{member} is required")


def refused(word: str, description: str, status: int = 400) -> Reply:
    return reply(status, {"error": word, "error_description": description})


def reply(status: int, body: JsonObject) -> Reply:
    return Reply(status, dumps(body))


INVALID_GRANT: Final = refused("invalid_grant", "The provided authorization grant is invalid")
