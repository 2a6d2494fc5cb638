"""How many tokens something is, roughly, before or where nobody counted: for limits, and for replies that broke."""

import re

BYTES_A_TOKEN, CHARACTERS_A_TOKEN = 4, 3
MEDIUM = 1000
"""Tokens of a picture, whatever its size."""

_MEDIA = re.compile(rb"base64,[A-Za-z0-9+/=]{512,}")


def asked(body: bytes) -> int:
    """Of a request. Pictures in it count as such, not by their bytes."""
    if b"base64," not in body:
        return len(body) // BYTES_A_TOKEN
    spans = [found.end() - found.start() for found in _MEDIA.finditer(body)]
    return (len(body) - sum(spans)) // BYTES_A_TOKEN + MEDIUM * len(spans)


def told(characters: int) -> int:
    """Of a reply of so many characters, over languages."""
    return characters // CHARACTERS_A_TOKEN
