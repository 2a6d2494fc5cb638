"""What stands around a reply: status and headers. Header values are made safe here and nowhere else."""

import math
import re

from moongate.core.errors import GatewayError, Kind
from moongate.core.exchange import Exchange
from moongate.wire.sse import encode_comment

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back otherwise
)
EXPOSED = (
    "x-request-id",
    "x-moongate-route",
    "x-moongate-attempts",
    "x-moongate-notes",
    "x-moongate-conversation",
    "x-moongate-origin",
    "retry-after",
)
"""What a browser's script may read of a reply from another origin."""

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")


def told(exchange: Exchange) -> dict[str, str]:
    """What is known of how a model came to answer, or not to."""
    is_settled = exchange.route or exchange.failure  # else there may be more attempts to come
    facts = {
        "x-moongate-route": str(exchange.route) if exchange.route else "",
        "x-moongate-attempts": str(len(exchange.attempts)) if exchange.attempts and is_settled else "",
        "x-moongate-notes": "; ".join(exchange.notes),
        "x-moongate-conversation": exchange.conversation,
    }
    return {name: safe(value) for name, value in facts.items() if value}


def around(exchange: Exchange, *first: tuple[bytes, bytes]) -> Headers:
    headers = [*first, (b"x-request-id", exchange.request_id.encode())]
    headers += [(name.encode(), value.encode()) for name, value in told(exchange).items()]
    return headers


def around_error(exchange: Exchange, error: GatewayError, length: int) -> Headers:
    headers = around(exchange, JSON, (b"content-length", str(length).encode()))
    headers.append((b"x-moongate-origin", error.kind.origin.encode()))
    facts = {
        "retry-after": None if error.retry_after is None else str(math.ceil(error.retry_after)),
        "allow": error.allow,
        "www-authenticate": "Bearer" if error.kind is Kind.UNAUTHENTICATED else None,
    }
    headers += [(name.encode(), value.encode()) for name, value in facts.items() if value is not None]
    return headers


def aside(exchange: Exchange) -> bytes:
    """What would have been headers, said in a stream that has none left to send."""
    facts = told(exchange)
    return encode_comment("; ".join(f"{name}: {value}" for name, value in facts.items())) if facts else b""


def aside_error(error: GatewayError) -> bytes:
    """The same for those of an error."""
    wait = "" if error.retry_after is None else f"; retry-after: {math.ceil(error.retry_after)}"
    return encode_comment(f"x-moongate-origin: {error.kind.origin}{wait}")


def safe(value: str) -> str:
    """A header value: printable ASCII, of bounded length."""
    return _UNPRINTABLE.sub("?", value.encode("ascii", "backslashreplace").decode())[:2000]
