"""Whatever a model writes, and however it arrives: what is a call is found, and everything else is told."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.bridges import calls_in_text
from moongate.bridges.calls_in_text import CallReader, Found, Piece

OPEN, CLOSE = "<call-1f>", "</call-1f>"
GOOD = f'{OPEN}\n{{"name":"clock","arguments":{{"zone":"UTC"}}}}\n{CLOSE}'
OTHER = f'{OPEN}{{"name":"dice","arguments":{{}}}}{CLOSE}'
OFFERED = frozenset({"clock", "dice"})

SNIPPETS = [
    GOOD, OTHER, OPEN, CLOSE, "<call-", "</call", "<", ">", "1f>", "{", "}", '"', '{"name":"dice","arguments":{}}',
    f'{OPEN}{{"name":"rm","arguments":{{}}}}{CLOSE}', f"{OPEN}[]{CLOSE}", "```", "````", "`", "```json\n", "```\n",
    "\n```\n", "\n", " ", "\t", "    ", "x", "月🌙", "Hello. ", "\n\n", "~~~", "a`b",
]  # fmt: skip
written = st.lists(st.sampled_from(SNIPPETS), max_size=12).map("".join)


def read(parts: list[str]) -> list[Piece]:
    """The pieces, with texts that follow each other as one."""
    reader = CallReader("1f", OFFERED)
    pieces = [piece for part in parts for piece in reader.feed(part)]
    return joined([*pieces, *reader.end()])


def joined(pieces: list[Piece]) -> list[Piece]:
    whole: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and whole and isinstance(whole[-1], str):
            whole[-1] += piece
        else:
            whole.append(piece)
    return whole


def called(text: str) -> list[tuple[str, str] | str]:
    return [piece if isinstance(piece, str) else (piece.name, piece.arguments) for piece in read([text])]


CLOCK, DICE = ("clock", '{"zone":"UTC"}'), ("dice", "{}")


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("just words", ["just words"]),
        (GOOD, [CLOCK]),
        (f"Let me look.\n\n{GOOD}", ["Let me look.\n\n", CLOCK]),
        (GOOD + OTHER, [CLOCK, DICE]),
        (f"{GOOD}\n\n{OTHER}\nDone.", [CLOCK, "\n\n", DICE, "\nDone."]),
        (f"```json\n{GOOD}\n```\n", [CLOCK]),
        (f"```\n{GOOD}\n{OTHER}\n```", [CLOCK, DICE]),
        (f"So:\n```\n{GOOD}\n```\nthat", ["So:\n", CLOCK, "that"]),
        (f"```\n{GOOD}", [CLOCK]),
        (f"```{OPEN}\n{GOOD}", [f"```{OPEN}\n", CLOCK]),
        (f"{OPEN} \n{OTHER}", [f"{OPEN} \n", DICE]),
        (f'{OPEN}{{"name":"clock"{OTHER}', [f'{OPEN}{{"name":"clock"', DICE]),
        (f'{OPEN}{{"name":"dice","arguments":{{"n":1.50}},"id":7}}{CLOSE}', [("dice", '{"n":1.50}')]),
    ],
)
def test_a_call_is_found_in_what_stands_around_it(text: str, pieces: list[tuple[str, str] | str]) -> None:
    assert called(text) == pieces


@pytest.mark.parametrize(
    "text",
    [
        f'{OPEN}{{"name":"rm","arguments":{{}}}}{CLOSE}',
        f'{OPEN}{{"name":"dice","arguments":[]}}{CLOSE}',
        f'{OPEN}{{"name":"dice","arguments":"{{}}"}}{CLOSE}',
        f'{OPEN}{{"name":"dice"}}{CLOSE}',
        f'{OPEN}{{"name":"dice","arguments":{{}}{CLOSE}',
        f'{OPEN}{{"name":"dice","arguments":{{}}}}',
        f'{OPEN}[{{"name":"dice","arguments":{{}}}}]{CLOSE}',
        f'{OPEN}{{"name":"dice","arguments":{"[" * 5000}{CLOSE}',
        f'{OPEN}{{"name":"dice","arguments":{{"a":"\ud800"}}}}{CLOSE}',
        '<call-2f>{"name":"dice","arguments":{}}</call-2f>',
        '<call>{"name":"dice","arguments":{}}</call>',
        f"```\nAs in this example:\n{GOOD}\n```\n",
        f"```\n{GOOD}\nand so on\n```\n",
        f"````\n```\n{GOOD}\n```\n````\n",
        OPEN,
        OPEN[:-1],
        CLOSE,
        "```",
    ],
)
def test_what_is_not_exactly_a_call_is_text_to_the_last_character(text: str) -> None:
    assert read([text]) == [text]


@given(written, st.data())
def test_how_it_is_cut_into_pieces_does_not_matter(text: str, data: st.DataObject) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    parts = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    assert read(parts) == read([text]) == read(list(text))


@given(written)
def test_nothing_is_lost_and_nothing_invented(text: str) -> None:
    at = 0
    for piece in read([text]):
        length = piece.length if isinstance(piece, Found) else len(piece)
        stood = text[at : at + length]
        if isinstance(piece, Found):
            assert piece.name in OFFERED
            assert piece.arguments in stood
            assert OPEN in stood
            assert CLOSE in stood
        else:
            assert stood == piece
        at += length
    assert at == len(text)


@given(st.text(alphabet="<call-1f>/{}` \n月", max_size=40), st.data())
def test_any_text_is_told_however_it_comes(text: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text)))
    assert read([text[:place], text[place:]]) == ([text] if text else [])


@given(written, st.integers(0, 200))
def test_what_is_held_back_of_a_broken_answer_is_still_there(text: str, place: int) -> None:
    reader = CallReader("1f", OFFERED)
    pieces = [*reader.feed(text[:place]), *reader.feed(text[place:])]
    rest = reader.rest()
    assert sum(piece.length if isinstance(piece, Found) else len(piece) for piece in pieces) + len(rest) == len(text)
    assert text.endswith(rest)


def test_words_are_told_as_they_come_up_to_what_may_be_a_call() -> None:
    reader = CallReader("1f", OFFERED)
    assert list(reader.feed("Well, a < b")) == ["Well, a < b"]
    assert list(reader.feed(" and <ca")) == [" and "]
    assert list(reader.feed("t>")) == ["<cat>"]
    assert list(reader.feed("\n``")) == ["\n"]
    assert list(reader.feed("`python\n")) == []
    assert list(reader.feed("print()\n")) == ["```python\n", "print()\n"]


def test_a_block_that_is_never_closed_is_not_held_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_in_text, "LIMIT", 50)
    text = OPEN + '{"name":"dice","arguments":{"a":"' + "x" * 100
    reader = CallReader("1f", OFFERED)
    assert "".join(str(piece) for char in text for piece in reader.feed(char)) == text
    assert read([text, GOOD[:-1], OTHER]) == read([*(text + GOOD[:-1] + OTHER)])


def test_a_long_call_is_read_in_linear_time() -> None:
    arguments = '{"text":"' + "<b>x</b>" * 25_000 + '"}'
    text = f'{OPEN}{{"name":"dice","arguments":{arguments}}}{CLOSE}'
    assert read([text[i : i + 3] for i in range(0, len(text), 3)]) == [Found("dice", arguments, len(text))]


def test_many_blocks_that_are_never_closed_hold_up_nobody() -> None:
    parts = [OPEN + "{"] * 20_000
    began = time.monotonic()
    assert read(parts) == ["".join(parts)]
    assert time.monotonic() - began < 10  # seconds, of a slow machine; each looked at to the end would be minutes
