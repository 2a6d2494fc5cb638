"""What stands around a reply: status and headers. Header values are made safe here and nowhere else."""

import math
import re

from moongate.core.errors import GatewayError
from moongate.core.exchange import Exchange

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
    "x-moongate-origin",
    "retry-after",
)
"""What a browser's script may read of a reply from another origin."""

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")


def told(exchange: Exchange) -> dict[str, str]:
    """What is known of how a model came to answer."""
    facts = {
        "x-moongate-route": str(exchange.route) if exchange.route else "",
        "x-moongate-attempts": str(len(exchange.attempts)) if exchange.attempts else "",
        "x-moongate-notes": "; ".join(exchange.notes),
    }
    return {name: safe(value) for name, value in facts.items() if value}


def around(exchange: Exchange, *first: tuple[bytes, bytes]) -> Headers:
    headers = [*first, (b"x-request-id", exchange.request_id.encode())]
    headers += [(name.encode(), value.encode()) for name, value in told(exchange).items()]
    return headers


def around_error(exchange: Exchange, error: GatewayError, length: int) -> Headers:
    headers = around(exchange, JSON, (b"content-length", str(length).encode()))
    headers.append((b"x-moongate-origin", error.kind.origin.encode()))
    if error.retry_after is not None:
        headers.append((b"retry-after", str(math.ceil(error.retry_after)).encode()))
    return headers


def safe(value: str) -> str:
    """A header value: printable ASCII, of bounded length."""
    return _UNPRINTABLE.sub("?", value.encode("ascii", "backslashreplace").decode())[:2000]
