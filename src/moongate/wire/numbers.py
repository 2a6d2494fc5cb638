"""Numbers as others write them on the wire."""

import math


def whole(value: float | None) -> int:
    """0 for what is absent or no number: JSON read leniently may hold `nan` and `inf`."""
    return int(value) if value is not None and math.isfinite(value) else 0
