"""Marks taken out of texts that come in any pieces."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.events import Cited, Text
from moongate.upstreams.kimi_web.citations import HELD, Citations, Marks
from moongate.upstreams.kimi_web.search import Page, read_cards, read_refs, read_results, read_search, read_tool

A, B = Page("https://example.org/a", "Forecast"), Page("https://example.org/b", "Almanac")
PRIVATE = "".join(map(chr, range(0xE3A0, 0xE3A9)))


def chunk(page: Page, **names: str) -> dict[str, object]:
    return {**names, "base": {"url": page.url, "title": page.title}}


FOUND = [chunk(A, id="1", refIndex="web_search:1#0"), chunk(B, id="2", refIndex="web_search:1#1")]


def citations(marks: Marks = "links", found: object = FOUND) -> Citations:
    made = Citations(marks)
    read_results(made.pages, found)
    return made


def told(pieces: Sequence[str], marks: Marks = "links", found: object = FOUND) -> tuple[str, list[Cited]]:
    made = citations(marks, found)
    deltas = [delta for piece in pieces for delta in made.feed(piece)] + list(made.end())
    text = "".join(delta.text for delta in deltas if isinstance(delta, Text))
    assert made.told == len(text)
    return text, [delta for delta in deltas if isinstance(delta, Cited)]


def cited(page: Page, start: int, end: int) -> Cited:
    return Cited(page.url, page.title, start, end)


MARKS = [
    "\ue3a0cite\ue3a3web_search:1#0\ue3a8",
    "\ue3a0cite\ue3a3web_search:1#0:~:text=it%20is\ue3a8",
    "\ue3a0article\U0001f6e0web_search:1#0\U0001f3a8\ue3a8",
    "\ue3a0cite\ue3a3tools://web_search:1#0\ue3a8",
    "[^1^]",
    "[^web_search:1#0^]",
    "<REF>cite✦tools://web_search:1#0:~:text=it is [so]</REF>",
]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize(
    ("marks", "shown", "end"), [("links", "[1]", 7), ("none", "", 4), ("raw", None, None)], ids=["links", "none", "raw"]
)
def test_a_mark_in_any_form_is_told_as_is_wished(mark: str, marks: Marks, shown: str | None, end: int | None) -> None:
    text, found = told([f"Wet {mark}."], marks)
    assert text == f"Wet {mark if shown is None else shown}."
    assert found == [cited(A, 4, end or 4 + len(mark))]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("marks", ["links", "none", "raw"])
def test_a_mark_cut_anywhere_is_a_mark(mark: str, marks: Marks) -> None:
    text = f"Wet {mark}{mark}, dry."
    for place in range(len(text)):
        assert told([text[:place], text[place:]], marks) == told([text], marks)
    assert told(list(text), marks) == told([text], marks)


PIECES = st.one_of(
    st.sampled_from(
        [*MARKS, *PRIVATE, "[^2^]", "[^", "[", "^]", "<REF>", "<REF>cite", "</REF>", "cite", "web_search:1#1", "#", "9"]
    ),
    st.text(max_size=6),
    st.integers(HELD - 3, HELD + 3).map(lambda length: "x" * length),
)


@given(st.lists(PIECES, max_size=12).map("".join), st.data(), st.sampled_from(["links", "none", "raw"]))
def test_any_split_gives_the_same(text: str, data: st.DataObject, marks: Marks) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    edges = [0, *places, len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert told(pieces, marks) == told([text], marks)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_raw_is_the_text_as_it_came(text: str) -> None:
    assert told([text], "raw")[0] == text


@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(["links", "none"]))
def test_no_private_use_mark_is_ever_told(text: str, marks: Marks) -> None:
    assert not set(PRIVATE) & set(told([text], marks)[0])


@given(st.text(alphabet=st.characters(exclude_characters=f"[<{PRIVATE}")), st.sampled_from(["links", "none", "raw"]))
def test_text_without_marks_passes_unchanged_and_at_once(text: str, marks: Marks) -> None:
    made = citations(marks)
    assert "".join(delta.text for delta in made.feed(text) if isinstance(delta, Text)) == text
    assert list(made.end()) == []


@pytest.mark.parametrize(
    "text",
    [
        "a [link](https://example.org) and x[0]",
        "a footnote[^1] and [^note]: it",
        "a regex [^a-z] and [^^]",
        "1 < 2 <b>bold</b> <REF>x</REF> <REFERENCE>",
        "[^1234567^]",
        "ends in [",
        "ends in [^1",
        "ends in <REF>cite of what",
        "<REF>cite" + "x" * HELD + "</REF>",
    ],
)
def test_what_only_looks_like_a_mark_is_text(text: str) -> None:
    assert told([text]) == (text, [])
    assert told(list(text)) == (text, [])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Wet\ue3a0cite\ue3a3web_search:1#0. And dry.", "Wet. And dry."),
        ("Wet\ue3a0cite\ue3a3web_search:1#0:~:text=it%20is and dry.", "Wet and dry."),
        ("Wet\ue3a0cite\ue3a3web_sea", "Wet"),
        ("Wet\ue3a0", "Wet"),
        ("Wet\ue3a8 and\ue3a3 dry", "Wet and dry"),
        ("Wet\ue3a0cite\ue3a3web_search:1#0 and \ue3a0cite\ue3a3web_search:1#1\ue3a8.", "Wet and [1]."),
        ("Wet\ue3a0cite\ue3a3web_search:1#0 " + "x" * HELD, "Wet " + "x" * HELD),
    ],
)
def test_a_mark_that_is_never_closed_takes_nothing_of_the_text_with_it(text: str, left: str) -> None:
    assert told([text])[0] == left
    assert told(list(text))[0] == left


def test_pages_are_numbered_in_the_order_of_their_first_use() -> None:
    text, found = told(
        ["x[^2^] y[^1^] z[^2^]\ue3a0cite\ue3a3web_search:1#0\ue3a3web_search:1#1\ue3a3web_search:1#0\ue3a8"]
    )
    assert text == "x[1] y[2] z[1][2][1]"
    assert found == [cited(B, 1, 4), cited(A, 6, 9), cited(B, 11, 14), cited(A, 14, 17), cited(B, 17, 20)]


def test_an_unknown_reference_is_removed_and_cites_nothing() -> None:
    assert told(["x[^7^]y\ue3a0cite\ue3a3web_search:3#0\ue3a8z"]) == ("xyz", [])


def test_positions_are_characters_and_not_bytes() -> None:
    assert told(["天气🌙[^1^]"]) == ("天气🌙[1]", [cited(A, 3, 6)])


def test_a_page_that_comes_after_its_mark_is_cited_where_the_mark_stood() -> None:
    made = citations(found=[])
    assert list(made.feed("Wet[^1^].")) == [Text("Wet.")]
    read_results(made.pages, FOUND)
    assert list(made.end()) == [cited(A, 3, 3)]
    assert list(made.end()) == []


def test_pages_that_are_used_and_never_marked_are_cited_at_the_end_once_each() -> None:
    made = citations()
    list(made.feed("Wet."))
    read_refs(made.pages, {"usedSearchChunks": [chunk(B, id="2"), {"id": "1"}, chunk(B, id="2")]})
    assert list(made.end()) == [cited(B, 4, 4), cited(A, 4, 4)]


def test_pages_that_are_used_are_not_cited_again_where_the_text_did() -> None:
    made = citations()
    list(made.feed("Wet[^1^]."))
    read_refs(made.pages, {"usedSearchChunks": FOUND})
    assert list(made.end()) == []


def test_a_number_that_two_pages_bear_cites_neither() -> None:
    assert told(["x[^1^]"], found=[chunk(A, id="1"), chunk(B, id="1")]) == ("x", [])


def test_results_told_twice_are_the_same_results() -> None:
    made = citations(found=[])
    for _ in range(2):
        read_search(made.pages, {"webPages": [{"url": A.url, "title": A.title}]}, is_mirror=True)
    read_search(made.pages, {"base": {"url": B.url, "title": B.title}}, is_mirror=False)
    assert made.pages.find("1") == A
    assert made.pages.find("2") == B


def test_results_of_a_tool_are_found_by_their_place_where_they_bear_no_name() -> None:
    made = citations(found=[])
    contents = [{"searchResult": chunk(A)}, {"text": "2"}, {"searchResult": chunk(B)}]
    read_tool(made.pages, {"contents": contents}, "web_search_0")
    assert made.pages.find("tools://web_search_0#1") == B
    assert made.pages.find("tools://web_search_1#1") is None


def test_a_place_is_one_less_than_an_id_where_only_ids_are_known() -> None:
    made = citations(found=[chunk(A, id="1"), chunk(B, id="2")])
    assert made.pages.find("web_search:1#1") == B


@pytest.mark.parametrize(
    "items", [None, 7, "x", [None], [7], [{}], [{"base": 7}], [{"base": {"url": 7}}], [{"url": "ftp://x"}]]
)
def test_results_of_a_strange_shape_are_none(items: object) -> None:
    made = citations(found=items)
    read_cards(made.pages, items)
    read_refs(made.pages, {"searchChunks": items, "usedSearchChunks": items})
    assert made.pages.used == ()
    assert made.pages.find("1") is None
