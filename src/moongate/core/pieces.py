"""A text in the pieces it would have come in, for an answer that came whole and is to be told as a stream.

A piece is a word with the space before it, or one character of a script that has no spaces. What a reader sees as one
character is never torn: that goes by simple rules and a few tables, not by all of Unicode's.
"""

import re
import unicodedata
from collections.abc import Iterator

LONGEST = 24
"""Characters of a word in one piece; what is longer, such as a line of base64, comes in several."""

_FLAG = "\U0001f1e6-\U0001f1ff"
"""Letters that make a flag, two by two."""

_SINGLE = "".join(
    (
        "\u2e80-\u312f\u3190-\u4dbf\u4e00-\ua4cf",  # radicals, kana, bopomofo, ideographs
        "\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef",  # compatibility and full-width forms
        "\U0001f000-\U0001f1e5\U0001f200-\U0001faff\U00020000-\U0003ffff",  # pictures, rarer ideographs
    )
)
"""Each is a piece. Hangul is not among them: it is written with spaces."""

_PIECE = re.compile(
    rf"\s{{0,{LONGEST}}}(?:[{_FLAG}]{{1,2}}|[{_SINGLE}]|[^\s{_FLAG}{_SINGLE}]{{1,{LONGEST}}})|\s{{1,{LONGEST}}}"
)

_TONES = ("\U0001f3fb", "\U0001f3ff")
"""The colours of a hand, which follow it."""

_VOWELS = (("\u1160", "\u11ff"), ("\ud7b0", "\ud7fb"))
"""The parts of a Hangul syllable that follow its first one."""

_VIRAMA = 9
"""The combining class of what joins an Indic consonant to the next."""


def pieces(text: str) -> Iterator[str]:
    """They join to `text`; none is empty."""
    held: list[str] = []
    for found in _PIECE.finditer(text):
        piece = found[0]
        if held and not _is_one(held[-1][-1], piece[0]):
            yield "".join(held)
            held.clear()
        held.append(piece)
    if held:
        yield "".join(held)


def _is_one(before: str, after: str) -> bool:
    """Whether the two characters are seen as one, or as parts of one."""
    return (
        unicodedata.category(after)[0] == "M"
        or "Cf" in (unicodedata.category(before), unicodedata.category(after))  # among them the joiner of pictures
        or _TONES[0] <= after <= _TONES[1]
        or any(first <= after <= last for first, last in _VOWELS)
        or unicodedata.combining(before) == _VIRAMA
        or (before, after) == ("\r", "\n")
        or ("\ud800" <= before <= "\udbff" and "\udc00" <= after <= "\udfff")
    )
