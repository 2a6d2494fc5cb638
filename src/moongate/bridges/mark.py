"""A word that occurs nowhere in a conversation, so that what is marked with it cannot be imitated in it."""

from collections.abc import Iterable
from hashlib import blake2b
from itertools import count

SHORTEST, LONGEST = 4, 64
"""Bytes, of two characters each."""


def mark(seed: Iterable[str | bytes], spoken: Iterable[str]) -> str:
    """Of the same `seed` the same, as long as it does not occur in what is `spoken`; else a longer one.

    The seed is what stands at the beginning of the conversation: who writes a page or a file that is read later on does
    not know it, and a chat that is continued keeps its marks.
    """
    digest = blake2b()
    for part in seed:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8) + data)
    text = "\n".join(spoken)
    for attempt in count():
        size = min(SHORTEST + attempt, LONGEST)
        word = blake2b(attempt.to_bytes(8), key=digest.digest(), digest_size=size).hexdigest()
        if word not in text:
            return word
    raise AssertionError("a text of finite length holds every word")  # pragma: no cover
