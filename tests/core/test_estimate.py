"""Tokens where nobody counted."""

from moongate.core import estimate


def test_words_count_by_their_bytes() -> None:
    assert estimate.asked(b"x" * 400) == 100


def test_a_picture_counts_as_a_picture_whatever_its_bytes() -> None:
    picture = b'{"url":"data:image/png;base64,' + b"iVBORw0KGgo" * 100_000 + b'"}'
    assert estimate.asked(picture) < 1100
    assert estimate.asked(picture * 3) < 3300


def test_a_word_that_only_speaks_of_base64_is_a_word() -> None:
    assert estimate.asked(b"base64,abc" * 40) == 100


def test_what_was_told_counts_by_characters() -> None:
    assert estimate.told(300) == 100
