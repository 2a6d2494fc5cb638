"""Replies as upstreams send them, read: whole, byte by byte, and cut short at every byte.

Each folder of the corpus holds a reply's bytes and what they come to: the whole answer, or the kind of failure. The
reading goes through the driver, because that is where a cut reply is told from one that is whole.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Usage
from moongate.core.reply import Block, Reply
from moongate.dialects.openai_chat.client import StreamDecoder, WholeDecoder, decoder, error_of
from moongate.wire.http import HttpHead
from scripted import JSON, STREAM, Heard, Played, assert_grammatical, hear

CORPUS = Path(__file__).parents[1] / "corpus" / "openai_chat"
CASES = sorted(folder.name for folder in CORPUS.iterdir())
STREAMED = [name for name in CASES if (CORPUS / name / "reply.sse").exists()]
DONE = b"data: [DONE]"
REASON_TOLD = re.compile(rb'"finish_reason":"\w+"[^\r\n]*')
CUT_SHORT = {Kind.TRUNCATED, Kind.PROTOCOL}


class Case:
    def __init__(self, name: str, end: str = "\n") -> None:
        self.is_stream = (CORPUS / name / "reply.sse").exists()
        text = (CORPUS / name / ("reply.sse" if self.is_stream else "reply.json")).read_text(encoding="utf-8")
        self.body = text.replace("\n", end).encode()
        self.headers: Mapping[str, str] = STREAM if self.is_stream else JSON
        self.expected = json.loads((CORPUS / name / "expected.json").read_text(encoding="utf-8"))
        self.error = next(kind for kind in Kind if kind.code == self.expected["error"]) if self.fails else None

    @property
    def fails(self) -> bool:
        return "error" in self.expected

    @property
    def usage(self) -> Usage | None:
        return self._usage("usage")

    @property
    def usages_if_cut(self) -> tuple[Usage | None, ...]:
        """What may be known of the costs when the answer is whole and the rest does not come."""
        return None, self.usage, self._usage("usage_if_cut")

    def _usage(self, name: str) -> Usage | None:
        found: Usage | None = msgspec.convert(self.expected.get(name), Usage | None)
        return found

    @property
    def reply(self) -> Reply:
        given: dict[str, Any] = self.expected
        blocks = msgspec.convert(given["blocks"], tuple[Block, ...])
        return Reply(given["id"], given["model"], given["created"], blocks, given["reason"], self.usage)

    def is_complete(self, length: int, *, broken: bool) -> bool:
        """Whether that many bytes hold the whole answer: each choice's reason to stop. Where the connection broke,
        the blank line behind the last of them has to have come too; a piece of JSON has come with its end alone."""
        if self.fails or (broken and not self.is_stream):
            return False
        if not self.is_stream:
            return length >= len(self.body.rstrip())
        return length >= max(found.end() for found in REASON_TOLD.finditer(self.body)) + (2 if broken else 0)

    async def heard(self, *parts: bytes | Exception) -> Heard:
        return await hear(Played(*parts, headers=self.headers))


def said(heard: Heard) -> Reply:
    return msgspec.structs.replace(heard.reply, raw=b"")


@pytest.mark.parametrize("arrival", ["whole", "by byte"])
@pytest.mark.parametrize("name", CASES)
async def test_a_reply_is_read_for_what_it_says(name: str, arrival: str) -> None:
    case = Case(name)
    parts = [case.body] if arrival == "whole" else [case.body[i : i + 1] for i in range(len(case.body))]
    heard = await case.heard(*filter(None, parts))
    assert (heard.failure and heard.failure.kind) == case.error
    if case.fails:
        assert DONE not in heard.raw
    else:
        assert_grammatical(heard.events)
        assert said(heard) == case.reply
        assert heard.raw == case.body


@pytest.mark.parametrize("end", ["\r\n", "\r"])
@pytest.mark.parametrize("name", STREAMED)
async def test_line_ends_do_not_matter(name: str, end: str) -> None:
    case = Case(name, end)
    heard = await case.heard(case.body)
    assert (heard.failure and heard.failure.kind) == case.error
    if not case.fails:
        assert said(heard) == case.reply
        assert heard.raw == case.body


@pytest.mark.parametrize("broken", [False, True], ids=["closed", "broken"])
@pytest.mark.parametrize("name", CASES)
async def test_a_reply_cut_at_any_byte_is_whole_or_an_error_and_never_a_shorter_answer(name: str, broken: bool) -> None:
    case = Case(name)
    break_off = (GatewayError.truncated(),) if broken else ()
    for length in range(len(case.body)):
        part = case.body[:length]
        heard = await case.heard(*filter(None, [part]), *break_off)
        if case.is_complete(length, broken=broken):
            assert heard.failure is None, part
            told = said(heard)
            assert told.usage in case.usages_if_cut
            assert msgspec.structs.replace(told, usage=case.usage) == case.reply
        else:
            assert heard.failure is not None, part
            assert heard.failure.kind in {*CUT_SHORT, *filter(None, [case.error])}
            assert DONE not in heard.raw
        assert case.body.startswith(heard.raw) or heard.raw.rstrip() == part.rstrip()


async def test_choices_told_one_after_the_other_are_all_waited_for() -> None:
    """Who asked for two answers gets two, or is told that one broke."""
    one = b'data: {"id":"a","choices":[{"index":0,"delta":{"content":"One"},"finish_reason":"stop"}]}\n\n'
    two = b'data: {"id":"a","choices":[{"index":1,"delta":{"content":"Tw"}}]}\n\n'
    heard = await hear(Played(one, two), choices=2)
    assert heard.failure
    assert heard.failure.kind is Kind.TRUNCATED


async def test_fewer_choices_than_were_asked_for_are_whole_when_the_upstream_says_that_was_all() -> None:
    one = b'data: {"id":"a","choices":[{"index":0,"delta":{"content":"One"},"finish_reason":"stop"}]}\n\n'
    assert (await hear(Played(one, b"data: [DONE]\n\n"), choices=2)).failure is None
    assert (await hear(Played(one), choices=2)).failure is not None


LOOSE = {
    "an event without data": b"data:\n\n",
    "an event of one space": b"data: \n\n",
    "a choice whose index is null": b'data: {"choices":[{"index":null,"delta":{}}]}\n\n',
    "a time that is no number": b'data: {"id":"a","created":"nan","choices":[]}\n\n',
    "a time without end": b'data: {"id":"a","created":"inf","choices":[]}\n\n',
    "a terminator with a space behind it": None,
    "a number for a name": b'data: {"id":7,"choices":[]}\n\n',
    "an error that says nothing": b'data: {"id":"a","choices":[],"error":{}}\n\n',
    "counts of an unknown shape": b'data: {"choices":[],"usage":{"prompt_tokens":1.5,"prompt_tokens_details":[]}}\n\n',
    "content in parts": b'data: {"choices":[{"index":0,"delta":{"content":[{"type":"text","text":""}]}}]}\n\n',
}


@pytest.mark.parametrize("name", LOOSE)
async def test_what_does_not_matter_breaks_no_reply(name: str) -> None:
    case = Case("thinking_and_text_usage_everywhere")
    odd = LOOSE[name]
    parts = [case.body.replace(DONE, DONE + b" ")] if odd is None else [odd, case.body]
    heard = await case.heard(*parts)
    assert heard.failure is None
    assert heard.reply.blocks == case.reply.blocks


async def test_usage_that_counts_nothing_is_unknown_and_not_zero() -> None:
    body = b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{}}'
    assert (await hear(Played(body, headers=JSON))).reply.usage is None


async def test_an_error_found_inside_a_reply_keeps_its_words_and_no_secret() -> None:
    error = b'data: {"error":{"message":"org-0123456789abcdef<ak-fedcba9876543210> failed","type":"server_error"}}\n\n'
    heard = await hear(Played(error))
    assert heard.failure
    assert heard.failure.kind is Kind.FAILED
    assert "failed" in heard.failure.message
    assert "0123456789" not in heard.failure.message


async def test_what_was_said_before_a_failure_in_the_same_read_is_told() -> None:
    case = Case("error_in_the_middle")
    heard = await case.heard(case.body)
    assert heard.raw.endswith(b'"The "},"finish_reason":null}],"system_fingerprint":"fpv0_1a2b3c4d"}\n\n')
    assert b"Internal error" not in heard.raw


async def test_a_last_event_without_a_blank_line_behind_it_is_told_with_one() -> None:
    case = Case("thinking_and_text_usage_everywhere")
    heard = await case.heard(case.body.rstrip(b"\n"))
    assert heard.failure is None
    assert heard.raw == case.body


def _unexplained(head: HttpHead, body: bytes) -> GatewayError:
    return GatewayError(Kind.FAILED, "unexplained")


@pytest.mark.parametrize(
    ("media_type", "reader"),
    [
        ("text/event-stream", StreamDecoder),
        ("Text/Event-Stream;charset=UTF-8", StreamDecoder),
        ("application/json", WholeDecoder),
        ("application/json; charset=utf-8", WholeDecoder),
        ("", WholeDecoder),
    ],
)
def test_who_reads_a_reply_is_told_by_its_media_type(media_type: str, reader: type[object]) -> None:
    assert isinstance(decoder(HttpHead(200, {"content-type": media_type}), _unexplained), reader)


@pytest.mark.parametrize("media_type", ["text/html", "text/plain", "application/connect+json"])
def test_a_page_is_no_completion(media_type: str) -> None:
    with pytest.raises(GatewayError) as failure:
        decoder(HttpHead(200, {"content-type": media_type}), _unexplained)
    assert failure.value.kind is Kind.PROTOCOL


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'{"error":{"message":"m","type":"t"}}', ("m", "t")),
        (b'{"error":{"message":"m","type":"t","code":"c"}}', ("m", "t")),
        (b'{"error":{"message":"m","type":null,"code":7}}', ("m", "")),
        (b'{"type":"error","error":{"type":"t","message":"m"}}', ("m", "t")),
        ('{"code":5,"error":"url.not_found","message":"没找到对象"}'.encode(), ("没找到对象", "url.not_found")),
        (b'{"error":"invalid_grant","error_description":"d"}', ("d", "invalid_grant")),
        (b'{"error":"just this"}', ("just this", "just this")),
        (b'{"message":["a",1]}', ('["a",1]', "")),
        (b'{"error":{}}', ("", "")),
        (b"{}", ("", "")),
        (b"", ("", "")),
        (b"  bad gateway \n", ("bad gateway", "")),
        (b'["x"]', ('["x"]', "")),
        (b"\xff\xfe", ("��", "")),
        (b"[" * 100_000, ("[" * 500, "")),
        (b"x" * 9999, ("x" * 500, "")),
    ],
)
def test_an_error_body_is_read_in_any_shape(body: bytes, read: tuple[str, str]) -> None:
    assert error_of(body) == read
