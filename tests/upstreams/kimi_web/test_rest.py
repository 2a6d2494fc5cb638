"""Replies of the older generation: whole, byte by byte, and cut at every byte."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kimi_web_replies import ASKED_TOKENS, CORPUS, Expected, explain, hear, refused
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Anchored, Delta, Metered, Opened, Text, Usage
from moongate.upstreams.kimi_web.rest import RestDecoder
from moongate.wire.sse import encode_sse
from scripted import Heard, cut

FOLDER = CORPUS / "kimi_web_rest"
CASES = sorted(folder.name for folder in FOLDER.iterdir())
CHAT = "cabc0000000000000009"
ALL_DONE = encode_sse(b'{"event":"all_done"}')
REASONS = {"length", "all_done"}
CUT_SHORT = {Kind.TRUNCATED, Kind.OVERLOADED}


def decoder(**options: Any) -> RestDecoder:
    given_options = {"marks": "links", "asked_tokens": ASKED_TOKENS, "continues": False, "chat": CHAT, **options}
    return RestDecoder(explain, **given_options)


def event(name: str, **members: object) -> bytes:
    return encode_sse(json.dumps({"event": name, **members}).encode())


class Case:
    def __init__(self, name: str, end: str = "\n") -> None:
        self.expected = Expected(FOLDER / name)
        self.body = (FOLDER / name / "reply.sse").read_text(encoding="utf-8").replace("\n", end).encode()
        self.options = {name: value for name, value in self.expected.told.items() if name in ("marks", "continues")}

    async def heard(self, *parts: bytes | Exception) -> Heard:
        return await hear(lambda: decoder(**self.options), *parts)


def events(body: bytes) -> list[str]:
    """The names of the events that are there in full."""
    found = []
    for line in body.split(b"\n"):
        try:
            found.append(json.loads(line.removeprefix(b"data: "))["event"])
        except (ValueError, KeyError, TypeError):
            continue
    return found


def has_ended(part: bytes) -> bool:
    """Whether this much of a body has told why it ended, or `done` and does not stop in the middle of a line."""
    last, told = part.rsplit(b"\n", 1)[-1], set(events(part))
    return bool(REASONS & told) or ("done" in told and (not last or bool(events(last))))


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("arrival", ["whole", "by byte"])
@pytest.mark.parametrize("name", CASES)
async def test_a_reply_is_read_for_what_it_says(name: str, arrival: str, end: str) -> None:
    case = Case(name, end)
    parts = [case.body] if arrival == "whole" else [case.body[i : i + 1] for i in range(len(case.body))]
    heard = await case.heard(*parts)
    assert (heard.failure and heard.failure.kind) == case.expected.error, heard.failure
    if heard.failure:
        assert case.expected.says in heard.failure.message
    else:
        case.expected.check(heard.reply)
        assert heard.raw in (case.body, case.body + ALL_DONE)


@pytest.mark.parametrize("name", CASES)
async def test_a_reply_that_just_stops_is_whole_only_where_it_had_told_its_end(name: str) -> None:
    case = Case(name)
    whole = events(case.body).count("cmpl")
    for length in range(len(case.body)):
        part = case.body[:length]
        heard = await case.heard(part)
        if heard.failure is None:
            assert has_ended(part), part
            if case.expected.error is None and events(part).count("cmpl") == whole:
                assert heard.reply.blocks == case.expected.blocks
        else:
            assert heard.failure.kind in {*CUT_SHORT, case.expected.error}
            if case.expected.error is None:
                assert not has_ended(part), part


@pytest.mark.parametrize("name", CASES)
async def test_a_reply_whose_connection_breaks_is_whole_only_if_its_reason_was_told(name: str) -> None:
    case = Case(name)
    for length in range(len(case.body)):
        part = case.body[:length]
        heard = await case.heard(part, GatewayError.truncated())
        if heard.failure is None:
            assert REASONS & set(events(part[: part.rfind(b"\n\n")]))
            assert heard.reply.blocks == case.expected.blocks
        else:
            assert heard.failure.kind in {Kind.TRUNCATED, case.expected.error}


def told(*parts: bytes, **options: Any) -> list[Delta]:
    reader = decoder(**options)
    readings = [reading for part in parts for reading in reader.feed(part)]
    return [delta for reading in readings for delta in reading.deltas]


def failure(*parts: bytes, **options: Any) -> GatewayError:
    reader = decoder(**options)
    with pytest.raises(GatewayError) as raised:
        [*(reading for part in parts for reading in reader.feed(part)), *reader.end()]
    return raised.value


@given(st.lists(st.integers(0, 2000), max_size=8), st.sampled_from(CASES))
def test_how_the_bytes_arrive_changes_nothing(places: list[int], name: str) -> None:
    case = Case(name)
    if case.expected.error is None:
        assert told(*cut(case.body, places)) == told(case.body)


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_arbitrary_events_are_read_or_refused(payloads: list[bytes]) -> None:
    events = (b"data: " + payload + b"\n\n" for payload in payloads)
    assert refused(decoder(), events) in {Kind.PROTOCOL, Kind.TRUNCATED}


def test_the_chat_that_was_asked_is_the_anchor() -> None:
    assert told(event("resp", id="r1")) == [Opened("r1", ""), Anchored(CHAT, "")]


def test_the_tokens_of_a_reply_are_estimated() -> None:
    deltas = told(event("k1", text="t" * 30), event("cmpl", text="a" * 60), ALL_DONE)
    assert Metered(Usage(input=7, output=30, thinking=10, is_estimate=True)) in deltas


def test_a_last_event_without_a_blank_line_behind_it_is_read() -> None:
    reader = decoder()
    list(reader.feed(event("cmpl", text="Hi") + ALL_DONE.rstrip()))
    assert [reading.raw for reading in reader.end()] == [ALL_DONE.rstrip()]


def test_thinking_that_reached_the_length_is_an_answer_cut_short() -> None:
    deltas = told(event("k1", text="Hm"), event("length"), ALL_DONE)
    assert "Finished(reason='length')" in map(repr, deltas)


@pytest.mark.parametrize(
    "members",
    [
        {"event": "search_plus", "msg": [1]},
        {"event": "search_plus", "msg": {"type": "get_res", "url": 7}},
        {"event": "k1", "search_results": {"a": None}},
        {"event": "search_citation", "values": [1, 2]},
        {"event": "search_citation", "values": {"1": None}},
        {"event": "ref_docs", "ref_cards": [None, {"url": "javascript:alert(1)"}]},
        {"event": None},
        {},
    ],
)
def test_what_does_not_matter_breaks_no_reply(members: dict[str, object]) -> None:
    deltas = told(encode_sse(json.dumps(members).encode()), event("cmpl", text="Hi"), ALL_DONE)
    assert Text("Hi") in deltas
    assert not any("Cited" in repr(delta) for delta in deltas)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error_type":"chat.user_stream_pushing","message":"x"}', Kind.RATE_LIMITED),
        (b'{"error_type":"auth.tok', Kind.TRUNCATED),
        (b"<html><title>Sorry</title></html>", Kind.FAILED),
    ],
)
def test_a_body_that_is_no_stream_is_explained(body: bytes, kind: Kind) -> None:
    assert failure(body).kind is kind
    assert failure(*(body[i : i + 1] for i in range(len(body)))).kind is kind


def test_an_error_is_no_lost_chat_once_something_was_told() -> None:
    gone = event("error", error={"error_type": "chat.not_found", "message": "x"})
    assert failure(gone, continues=True).kind is Kind.CHAT_GONE
    assert failure(event("cmpl", text="Hi"), gone, continues=True).kind is Kind.REQUEST_REFUSED
