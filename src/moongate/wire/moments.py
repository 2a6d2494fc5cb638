"""Moments as others write them on the wire; here they are seconds since 1970."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from moongate.wire.numbers import number

MILLISECONDS_FROM = 1e11
"""As seconds this would be the year 5138; larger numbers count milliseconds."""


def moment(value: object) -> float | None:
    """Of an ISO 8601 text with any number of digits after the second (in UTC if it names no zone), or of a number that
    counts seconds or milliseconds since 1970. None for anything else, and for the zero that stands for "never"."""
    read = number(value)
    if read is None:
        read = _iso(value) if isinstance(value, str) else None
    elif read >= MILLISECONDS_FROM:
        read /= 1000
    return read if read is not None and read > 0 else None


def _iso(text: str) -> float | None:
    try:
        read = datetime.fromisoformat(text.strip())
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def http_date(headers: Mapping[str, str], name: str) -> float | None:
    """Of a header such as `date` that holds an HTTP date; None where it does not."""
    try:
        read = parsedate_to_datetime(headers.get(name, ""))
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
