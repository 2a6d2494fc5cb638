"""Pieces of a text: all of it, in the order it stands in, and nothing torn that a reader sees as one character."""

import time
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.pieces import LONGEST, pieces

CLUSTERS = (
    "a",
    " ",
    "\n",
    "\r\n",
    "word",
    "e\u0301",
    "q\u0323\u0307",
    "中",
    "，",
    "か\u3099",
    "한",
    "\u1112\u1161\u11ab",
    "क्षि",
    "กำ",
    "👍🏽",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "1️⃣",
    "☀️",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "𠮷",
    "葛\U000e0100",
    "\ud83d\ude00",
)


@given(st.text())
def test_the_pieces_join_to_the_text_and_none_is_empty(text: str) -> None:
    told = list(pieces(text))
    assert "".join(told) == text
    assert all(told)


@given(st.lists(st.sampled_from(CLUSTERS), max_size=40))
def test_what_is_seen_as_one_character_is_in_one_piece(clusters: list[str]) -> None:
    text = "".join(clusters)
    allowed = {*accumulate(map(len, clusters)), *_inside_words(clusters)}
    assert set(accumulate(map(len, pieces(text)))) <= allowed


def _inside_words(clusters: list[str]) -> set[int]:
    """Between the letters of plain words, which may be torn where they are long."""
    starts = accumulate(map(len, clusters), initial=0)
    return {start + i for start, cluster in zip(starts, clusters, strict=False) if cluster == "word" for i in range(5)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", []),
        ("Hello", ["Hello"]),
        ("Hello, world! ", ["Hello,", " world!", " "]),
        ("one\n\ntwo", ["one", "\n\ntwo"]),
        ("你好，世界。", ["你", "好", "，", "世", "界", "。"]),
        ("用Python写", ["用", "Python", "写"]),
        ("안녕 세상", ["안녕", " 세상"]),
        ("🇩🇪🇫🇷", ["🇩🇪", "🇫🇷"]),
        ("ok👍🏽👍", ["ok", "👍🏽", "👍"]),
        ("👩‍👩‍👧 x", ["👩‍👩‍👧", " x"]),
        ("\t\tif x:", ["\t\tif", " x:"]),
    ],
)
def test_pieces_are_words_or_single_characters(text: str, told: list[str]) -> None:
    assert list(pieces(text)) == told


@pytest.mark.parametrize("run", ["x", " ", "\n", "क", "("])
def test_no_run_makes_a_piece_of_any_length(run: str) -> None:
    assert max(map(len, pieces(run * 1000))) <= 2 * LONGEST


def test_a_long_text_takes_no_long_time() -> None:
    before = time.process_time()
    assert sum(map(len, pieces("中e\u0301 " * 50_000 + "\u0301" * 50_000))) == 250_000
    assert time.process_time() - before < 5
