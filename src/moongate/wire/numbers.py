"""Numbers as others write them on the wire."""

import math


def whole(value: float | None) -> int:
    """0 for what is absent or no number: JSON read leniently may hold `nan` and `inf`."""
    return int(value) if value is not None and math.isfinite(value) else 0


def number(value: object) -> float | None:
    """A finite number, which may be written as text as vendors do to keep its digits; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None
