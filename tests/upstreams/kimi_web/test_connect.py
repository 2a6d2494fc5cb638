"""Replies of the Connect generation: whole, byte by byte, and cut at every byte.

Each folder of the corpus holds a reply's frames, flags before the JSON, and what they come to.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kimi_web_replies import ASKED_TOKENS, CORPUS, Expected, explain, hear, refused
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Delta, Metered, Text, Thinking, Usage
from moongate.upstreams.kimi_web.connect import ConnectDecoder
from moongate.wire.connect import END, encode_envelope
from scripted import Heard, cut

FOLDER = CORPUS / "kimi_web_connect"
CASES = sorted(folder.name for folder in FOLDER.iterdir())
WITHOUT_A_TRAILER = {Kind.TRUNCATED, Kind.OVERLOADED, Kind.CONTENT_REFUSED}


def decoder(**options: Any) -> ConnectDecoder:
    given_options = {"marks": "links", "asked_tokens": ASKED_TOKENS, "continues": False, **options}
    return ConnectDecoder(explain, **given_options)


def framed(flags: str, payload: str) -> bytes:
    return encode_envelope(payload.encode(), int(flags, 16))


def event(**members: object) -> bytes:
    return encode_envelope(json.dumps(members).encode())


def text(content: str, op: str = "append") -> bytes:
    return event(op=op, mask="block.text.content", block={"id": "1", "text": {"content": content}})


ENDED = encode_envelope(b"{}", END)


class Case:
    def __init__(self, name: str) -> None:
        self.expected = Expected(FOLDER / name)
        lines = (FOLDER / name / "frames.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
        self.frames = [(flags, payload) for flags, _, payload in (line.partition(" ") for line in lines)]
        self.body = b"".join(framed(*frame) for frame in self.frames)
        self.options = {name: value for name, value in self.expected.told.items() if name in ("marks", "continues")}

    async def heard(self, *parts: bytes | Exception) -> Heard:
        return await hear(lambda: decoder(**self.options), *parts)

    def ends(self) -> set[int]:
        """Where a body that just stops has told its end: after a frame, `done` or the answer's COMPLETED behind it."""
        found, length, told = set(), 0, False
        for flags, payload in self.frames:
            length += len(framed(flags, payload))
            told = told or (bool(payload) and self._is_end(json.loads(payload)))
            if told:
                found.add(length)
        return found

    def _is_end(self, frame: dict[str, Any]) -> bool:
        message = frame.get("message", {})
        is_answer = message.get("id") == self.expected.told.get("id", "1a000000-0000-8000-8000-0000000000a1")
        return "done" in frame or (is_answer and message.get("status") == "MESSAGE_STATUS_COMPLETED")


@pytest.mark.parametrize("arrival", ["whole", "by byte"])
@pytest.mark.parametrize("name", CASES)
async def test_a_reply_is_read_for_what_it_says(name: str, arrival: str) -> None:
    case = Case(name)
    parts = [case.body] if arrival == "whole" else [case.body[i : i + 1] for i in range(len(case.body))]
    heard = await case.heard(*parts)
    assert (heard.failure and heard.failure.kind) == case.expected.error, heard.failure
    if heard.failure:
        assert case.expected.says in heard.failure.message
    else:
        case.expected.check(heard.reply)
        assert heard.raw in (case.body, case.body + ENDED)


@pytest.mark.parametrize("name", CASES)
async def test_a_reply_that_just_stops_is_whole_only_where_it_had_told_its_end(name: str) -> None:
    case = Case(name)
    ends = case.ends()
    for length in range(len(case.body)):
        heard = await case.heard(case.body[:length])
        if heard.failure is None:
            assert length in ends
            if case.expected.error is None:
                assert heard.reply.blocks == case.expected.blocks
        else:
            assert heard.failure.kind in {*WITHOUT_A_TRAILER, case.expected.error}, length
            if case.expected.error is None:
                assert length not in ends


@pytest.mark.parametrize("name", CASES)
async def test_a_reply_whose_connection_breaks_is_never_whole(name: str) -> None:
    case = Case(name)
    for length in range(len(case.body)):
        heard = await case.heard(case.body[:length], GatewayError.truncated())
        assert heard.failure is not None
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


@given(st.lists(st.integers(0, 5000), max_size=8), st.sampled_from(["search_with_several_references", "text_alone"]))
def test_how_the_bytes_arrive_changes_nothing(places: list[int], name: str) -> None:
    body = Case(name).body
    assert told(*cut(body, places)) == told(body)


@given(st.lists(st.binary(max_size=60), max_size=5), st.booleans())
def test_arbitrary_payloads_are_read_or_refused(payloads: list[bytes], continues: bool) -> None:
    kind = refused(decoder(continues=continues), map(encode_envelope, payloads))
    assert kind in {Kind.PROTOCOL, Kind.TRUNCATED}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["op", "mask", "chat", "message", "block", "ref", "notification", "exception", "error", "done"]
INNER = ["id", "role", "status", "blocks", "refs", "text", "think", "tool", "search", "exception", "type", "content"]


@given(
    st.dictionaries(
        st.sampled_from(FIELDS), JSON | st.dictionaries(st.sampled_from(INNER), JSON, max_size=4), max_size=4
    )
)
def test_events_of_any_shape_are_read_or_refused(members: dict[str, object]) -> None:
    assert refused(decoder(), [event(**members)]) in {Kind.PROTOCOL, Kind.FAILED, Kind.TRUNCATED, Kind.OVERLOADED}


def test_what_nests_too_deeply_is_refused_or_passed_over() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert failure(encode_envelope(b'{"ref":' + deep + b"}")).kind in {Kind.PROTOCOL, Kind.TRUNCATED}
    assert failure(encode_envelope(b'{"error":' + deep + b"}", END)).kind is Kind.PROTOCOL


def test_the_tokens_of_a_reply_are_estimated_of_its_thinking_and_its_text() -> None:
    thinking = event(op="set", mask="block.think", block={"id": "0", "think": {"content": "t" * 30}})
    deltas = told(thinking, text("a" * 60), ENDED)
    assert Metered(Usage(input=7, output=30, thinking=10, is_estimate=True)) in deltas


def test_text_is_told_as_it_comes() -> None:
    assert told(text("Hi")) == [Text("Hi")]
    thinking = event(op="append", block={"id": "0", "think": {"content": "Hm."}})
    assert told(thinking) == [Thinking("Hm.")]


def test_thinking_that_is_rewritten_stays_as_it_was_shown() -> None:
    def thinking(content: str, op: str) -> bytes:
        return event(op=op, mask="block.think.content", block={"id": "0", "think": {"content": content}})

    assert told(thinking("One", "set"), thinking("Two", "set"), thinking("!", "append")) == [
        Thinking("One"),
        Thinking("!"),
    ]


def test_the_chat_that_is_continued_is_the_anchor_where_the_stream_does_not_name_it() -> None:
    answer = event(op="set", mask="message", message={"id": "a1", "role": "assistant"})
    assert repr(told(answer, chat="c1")[-1]) == "Anchored(chat='c1', message='a1')"


@pytest.mark.parametrize("code", ["invalid_argument", "not_found", "permission_denied"])
def test_a_chat_that_cannot_be_continued_is_gone_only_if_nothing_was_told(code: str) -> None:
    trailer = encode_envelope(json.dumps({"error": {"code": code}}).encode(), END)
    assert failure(trailer, continues=True).kind is Kind.CHAT_GONE
    assert failure(trailer).kind is not Kind.CHAT_GONE
    assert failure(text("Hi"), trailer, continues=True).kind is not Kind.CHAT_GONE


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "unauthenticated"}, Kind.CREDENTIAL_REFUSED),
        ({"code": "invalid_argument", "message": "the message is too long"}, Kind.CONTEXT_EXCEEDED),
        ({"code": "resource_exhausted"}, Kind.OVERLOADED),
    ],
)
def test_a_new_chat_is_not_tried_for_what_it_would_not_change(error: dict[str, str], kind: Kind) -> None:
    trailer = encode_envelope(json.dumps({"error": error}).encode(), END)
    assert failure(trailer, continues=True).kind is kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"code":"unauthenticated","details":[]}', Kind.CREDENTIAL_REFUSED),
        (b'{"error_type":"auth.token.invalid","message":"x"}', Kind.CREDENTIAL_REFUSED),
        (b'{"code":"unauth', Kind.TRUNCATED),
        (b"{}", Kind.TRUNCATED),
        (b"<!doctype html><title>Just a moment...</title>", Kind.FAILED),
    ],
)
def test_a_body_that_is_no_stream_is_explained(body: bytes, kind: Kind) -> None:
    assert failure(body).kind is kind
    assert failure(*(body[i : i + 1] for i in range(len(body)))).kind is kind


def test_an_answer_whose_message_was_broken_off_is_not_whole() -> None:
    answer = event(op="set", mask="message", message={"id": "a1", "role": "assistant"})
    status = event(op="set", mask="message.status", message={"id": "a1", "status": "MESSAGE_STATUS_CANCELLED"})
    assert failure(answer, text("Hi"), status, ENDED).kind is Kind.TRUNCATED


def test_an_empty_body_was_cut() -> None:
    assert failure(b"").kind is Kind.TRUNCATED


def test_an_error_in_an_event_is_explained() -> None:
    assert failure(event(error={"code": "unavailable"})).kind is Kind.OVERLOADED
    assert told(event(error={}), text("Hi")) == [Text("Hi")]
