"""Reads a request's body, under a limit."""

import asyncio
from collections.abc import Mapping

from starlette.types import Message, Receive

from moongate.core.errors import GatewayError, Kind
from moongate.http.line import HungUp

READ_AWAY = 4
"""How many times the limit is read and thrown away before an oversized body is refused: a client that is still
sending when the connection closes never sees the refusal."""


SLOW = 60.0
"""Seconds without a byte after which a body that is still to come is not waited for."""


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int, slow: float = SLOW) -> bytes:
    """Raises GatewayError (TOO_LARGE, TOO_SLOW, INVALID_REQUEST), and HungUp when the caller leaves in the middle."""
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise GatewayError(Kind.INVALID_REQUEST, "compressed request bodies are not read", param="content-encoding")
    announced = int(headers.get("content-length", 0))
    if announced > limit * READ_AWAY:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    more = True
    while more and size <= limit * READ_AWAY:
        message = await _next(receive, slow)
        if message["type"] == "http.disconnect":
            raise HungUp
        part = message.get("body", b"")
        size += len(part)
        if size <= limit:
            parts.append(part)
        more = message.get("more_body", False)
    if size > limit:
        raise _too_large(limit)
    return b"".join(parts)


async def _next(receive: Receive, slow: float) -> Message:
    try:
        async with asyncio.timeout(slow):
            return await receive()
    except TimeoutError as error:
        raise GatewayError(Kind.TOO_SLOW, f"nothing came of the body for {slow:g} seconds") from error


def _too_large(limit: int) -> GatewayError:
    return GatewayError(
        Kind.TOO_LARGE, f"the body is larger than {limit} bytes, the limit set by MOONGATE_MAX_BODY on this gateway"
    )
