"""Reads a vendor's `GET /models` in any of the shapes seen; what a list leaves out is unknown, not false."""

import msgspec
from msgspec import Struct

from moongate.core.errors import GatewayError
from moongate.core.route import ListedModel
from moongate.wire.numbers import whole


class Entry(Struct):
    """Recorded on the platform 2026-09 and on Kimi Code 2026-07; the latter's `created_at` is a text. vLLM spells the
    length `max_model_len`."""

    id: str
    created: float | None = None
    context_length: float | None = None
    max_model_len: float | None = None
    supports_reasoning: bool | None = None
    supports_thinking_type: str | None = None
    supports_image_in: bool | None = None
    supports_video_in: bool | None = None


class Listing(Struct):
    data: list[Entry]


THINKS = {"only": True, "both": True, "no": False}
"""`supports_thinking_type` wins over `supports_reasoning`, as in the vendor's own client."""

_listing = msgspec.json.Decoder(Listing, strict=False).decode


def read(body: bytes, upstream: str) -> tuple[ListedModel, ...]:
    """Raises GatewayError (PROTOCOL) for what is no list of models."""
    try:
        listing = _listing(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GatewayError.protocol(f"the upstream's list of models cannot be read: {error}") from error
    return tuple(_listed(entry, upstream) for entry in listing.data)


def _listed(entry: Entry, upstream: str) -> ListedModel:
    length = whole(entry.context_length or entry.max_model_len)
    return ListedModel(
        id=entry.id,
        upstream=upstream,
        created=whole(entry.created),
        context_length=length if length > 0 else None,
        reasoning=THINKS.get(entry.supports_thinking_type or "", entry.supports_reasoning),
        image_in=entry.supports_image_in,
        video_in=entry.supports_video_in,
    )
