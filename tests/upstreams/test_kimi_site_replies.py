"""What the site sends, read: its page, its answers, and everything that is neither.

Each folder of the corpus holds a body as it came and what it comes to: a text or a nonce, or the kind of failure.
"""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Closed, Delta, Finished, Metered, Opened, Reading, Text, Usage
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.upstreams.driver import Deadlines, converse, prepare
from moongate.upstreams.kimi_site import KimiSite, answers, page
from moongate.upstreams.kimi_site.answers import AnswerDecoder, Asked
from moongate.wire.http import HttpHead, HttpReply
from scripted import FOREVER, Played, Stage, asked, assert_grammatical, chunkings, cut, turned

CORPUS = Path(__file__).parents[1] / "corpus" / "kimi_site"
ASKED = Asked("session_1", "kimi-k2-instruct", 17, 5, in_pieces=False)
IN_PIECES = Asked("s", "m", 0, 1, in_pieces=True)
JSON = {"content-type": "application/json; charset=UTF-8"}


def _cases(folder: str) -> list[str]:
    return sorted(case.name for case in (CORPUS / folder).iterdir())


def _case(folder: str, name: str, file: str) -> tuple[HttpReply, dict[str, object]]:
    expected = json.loads((CORPUS / folder / name / "expected.json").read_text(encoding="utf-8"))
    head = HttpHead(expected["status"], expected.get("headers", {"content-type": "text/html; charset=UTF-8"}))
    return HttpReply(head, (CORPUS / folder / name / file).read_bytes()), expected


def _assert_told(failure: GatewayError, expected: dict[str, object]) -> None:
    assert failure.kind.code == expected["error"]
    assert str(expected.get("says", "")) in failure.message
    assert "<" not in failure.message
    assert len(failure.message) < 800
    assert failure.kind.origin != "caller"


@pytest.mark.parametrize("name", _cases("answers"))
def test_an_answer_is_told_and_everything_else_is_an_error(name: str) -> None:
    reply, expected = _case("answers", name, "reply.txt")
    if "error" not in expected:
        assert answers.message(reply) == expected["text"]
        return
    with pytest.raises(GatewayError) as caught:
        answers.message(reply)
    _assert_told(caught.value, expected)


@pytest.mark.parametrize("name", _cases("pages"))
def test_the_nonce_is_found_in_the_page_or_it_is_told_why_not(name: str) -> None:
    reply, expected = _case("pages", name, "page.html")
    if "error" not in expected:
        assert page.read(reply) == expected["nonce"]
        return
    with pytest.raises(GatewayError) as caught:
        page.read(reply)
    _assert_told(caught.value, expected)


@given(st.binary(), st.sampled_from([200, 204, 301, 400, 403, 404, 429, 500, 503]), st.booleans())
def test_whatever_the_site_sends_is_an_answer_or_an_error(body: bytes, status: int, is_html: bool) -> None:
    reply = HttpReply(HttpHead(status, {"content-type": "text/html" if is_html else "application/json"}), body)
    for read in (answers.message, page.read):
        with pytest.raises(GatewayError) as caught:
            read(reply)
        assert caught.value.message


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["success", "data", "message", "x"]), inner),
)


@given(JSON_VALUES)
def test_whatever_json_the_site_sends_is_an_answer_or_an_error(value: object) -> None:
    reply = HttpReply(HttpHead(200, JSON), json.dumps(value).encode())
    try:
        text = answers.message(reply)
    except GatewayError:
        return
    assert isinstance(value, dict)
    assert (value["success"], value["data"]["message"]) == (True, text)


def _readings(pieces: list[bytes], asked: Asked = ASKED) -> list[Reading]:
    decoder = AnswerDecoder(HttpHead(200, JSON), asked)
    return [*(reading for piece in pieces for reading in decoder.feed(piece)), *decoder.end()]


def test_an_answer_is_one_text_with_an_estimate_of_what_it_cost() -> None:
    body = b'{"success":true,"data":{"message":"Hello, world"}}'
    assert _readings([body]) == [
        Reading(
            body,
            (
                Opened("session_1", "kimi-k2-instruct", 17),
                Text("Hello, world"),
                Metered(Usage(5, 4, is_estimate=True)),
                Finished("stop"),
                Closed(),
            ),
        )
    ]


def test_for_a_stream_it_comes_in_natural_pieces() -> None:
    body = json.dumps({"success": True, "data": {"message": "Hello, 世界 👍🏽"}}).encode()
    texts = [delta.text for delta in _deltas(_readings([body], IN_PIECES)) if isinstance(delta, Text)]
    assert texts == ["Hello,", " 世", "界", " 👍🏽"]


def _deltas(readings: list[Reading]) -> list[Delta]:
    return [delta for reading in readings for delta in reading.deltas]


def test_an_answer_reads_the_same_however_it_arrives() -> None:
    body = json.dumps({"success": True, "data": {"message": "Grüße, 世界"}}, ensure_ascii=False).encode()
    whole = _readings([body])
    for pieces in chunkings(body):
        assert _readings(pieces) == whole


@given(st.text(min_size=1).filter(str.strip), st.lists(st.integers(min_value=0), max_size=5))
def test_any_text_arrives_as_it_was_said(text: str, places: list[int]) -> None:
    body = json.dumps({"success": True, "data": {"message": text}}).encode("utf-8", "replace")
    deltas = _deltas(_readings(cut(body, places), IN_PIECES))
    assert "".join(delta.text for delta in deltas if isinstance(delta, Text)) == text


def test_an_answer_cut_at_any_byte_is_never_a_shorter_answer() -> None:
    body = json.dumps({"success": True, "data": {"message": 'She said "yes", 世界.'}}, ensure_ascii=False).encode()
    for length in range(len(body)):
        with pytest.raises(GatewayError) as caught:
            _readings([body[:length]])
        assert caught.value.kind in {Kind.TRUNCATED, Kind.PROTOCOL}


def test_an_answer_of_any_size_is_not_read_to_its_end() -> None:
    decoder = AnswerDecoder(HttpHead(200, JSON), ASKED)
    for _ in range(answers.LIMIT // 65536):
        assert list(decoder.feed(b" " * 65536)) == []
    with pytest.raises(GatewayError, match="more than") as caught:
        decoder.feed(b" ")
    assert caught.value.kind is Kind.PROTOCOL


async def test_the_driver_tells_what_the_flow_has_had_and_asks_no_third_time() -> None:
    body = b'{"success":true,"data":{"message":"Hello there"}}'
    stage = Stage(
        Played(b'<html>var kimi_ajax = {"nonce":"0a1b2c3d4e"};</html>', headers={"content-type": "text/html"}),
        Played(body[:20], body[20:], headers=JSON),
    )
    now = asyncio.get_running_loop().time()
    deadlines = Deadlines(now + FOREVER, FOREVER, now + FOREVER)
    site = KimiSite("https://site.example", "moongate/test")
    opening = await prepare(site, turned(asked()), Route("kimi-site", "kimi-k2-instruct"), Sealed(""), stage, deadlines)
    async with converse(opening, stage, deadlines) as spoken:
        packets = [packet async for packet in spoken.packets]
    assert [call.method for call in stage.calls] == ["GET", "POST"]
    assert b"".join(packet.raw for packet in packets) == body
    assert not spoken.streamed
    assert_grammatical([event for packet in packets for event in packet.events])
