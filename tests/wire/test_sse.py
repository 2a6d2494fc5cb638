"""However its bytes arrive, a stream is cut into the same frames, and not a byte of it is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.wire import sse
from moongate.wire.sse import Frame, SseDecoder, encode_comment, encode_sse
from scripted import chunkings, cut

Told = list[tuple[bytes | None, str]]

STREAM = (
    '﻿data: {"a":"月🌙"}\n\n'
    ": still working\n\n"
    "data: one\ndata: two\n\n"
    "event: ping\ndata:no space\nid: 7\nretry: 10\n\n"
    "\n"
    "data:  two spaces\n\n\n"
    "data\n\n"
    "unknown: x\n\n"
    "data: [DONE]\n\n"
)
TOLD: Told = [
    ('{"a":"月🌙"}'.encode(), ""),
    (b"one\ntwo", ""),
    (b"no space", "ping"),
    (b" two spaces", ""),
    (b"", ""),
    (b"[DONE]", ""),
]


def frames(parts: list[bytes]) -> tuple[list[Frame], Frame | None]:
    decoder = SseDecoder()
    return [frame for part in parts for frame in decoder.feed(part)], decoder.end()


def told(found: list[Frame]) -> Told:
    return [(frame.data, frame.event) for frame in found if frame.data is not None]


def raw(found: list[Frame], rest: Frame | None) -> bytes:
    return b"".join(frame.raw for frame in (*found, *([rest] if rest else ())))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_way_of_cutting_gives_the_same_events_and_the_same_bytes(end: str) -> None:
    body = STREAM.replace("\n", end).encode()
    for parts in chunkings(body):
        found, rest = frames(parts)
        assert told(found) == TOLD
        assert raw(found, rest) == body


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_way_of_cutting_gives_the_same_frames(end: str) -> None:
    body = STREAM.replace("\n", end).encode()
    whole = frames([body])
    for parts in chunkings(body):
        assert frames(parts) == whole


LINES = st.sampled_from(["data: x", "data:", "data", ": c", "event: e", "data: 月🌙", "id: 1", "", "", ""])
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def read_by_the_standard(text: str) -> Told:
    """The parsing algorithm of the HTML standard, as it is written there, without the parts nobody reads here."""
    lines = text.removeprefix("﻿").replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
    events: Told = []
    data: list[str] = []
    event = ""
    for line in lines:
        if not line:
            if data:
                events.append(("\n".join(data).encode(), event))
            data, event = [], ""
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
            elif name == "event":
                event = value
    return events


@given(st.lists(st.tuples(LINES, ENDS), max_size=12), st.booleans(), st.lists(st.integers(0, 200), max_size=6))
def test_any_stream_is_read_as_the_standard_says(lines: list[tuple[str, str]], bom: bool, places: list[int]) -> None:
    text = ("﻿" if bom else "") + "".join(line + end for line, end in lines) + "\n\n"
    body = text.encode()
    found, rest = frames(cut(body, places))
    assert told(found) == read_by_the_standard(text)
    assert raw(found, rest) == body
    assert rest is None or rest.data is None


@given(st.lists(st.binary(max_size=12) | st.sampled_from([b"\r", b"\n", b"data: ", b"\n\n"]), max_size=12))
def test_no_byte_is_ever_lost(parts: list[bytes]) -> None:
    found, rest = frames(parts)
    assert raw(found, rest) == b"".join(parts)


@pytest.mark.parametrize(
    ("half", "data"),
    [
        (b"", None),
        (b"data: x", b"x"),
        (b"data: x\n", b"x"),
        (b"data: x\r\n", b"x"),
        (b": comm", None),
        (b"dat", None),
        (b"data: a\ndata: b", b"a\nb"),
    ],
)
def test_half_a_frame_at_the_end_is_handed_over(half: bytes, data: bytes | None) -> None:
    found, rest = frames([b"data: 1\n\n", half])
    assert told(found) == [(b"1", "")]
    assert rest == (Frame(half, data) if half else None)


def test_the_end_is_told_once() -> None:
    decoder = SseDecoder()
    list(decoder.feed(b"data: x"))
    assert decoder.end()
    assert decoder.end() is None


def test_an_event_without_end_is_refused() -> None:
    decoder = SseDecoder()
    line = b"data: " + b"x" * (1024 * 1024)
    for _ in range(sse.LIMIT // len(line)):
        assert list(decoder.feed(line)) == []
    with pytest.raises(GatewayError) as failure:
        list(decoder.feed(line))
    assert failure.value.kind is Kind.PROTOCOL


def test_a_long_event_that_ends_is_read() -> None:
    body = b"data: " + b"x" * (2 * 1024 * 1024) + b"\n\n"
    found, rest = frames([body[i : i + 65536] for i in range(0, len(body), 65536)])
    assert (len(found), rest) == (1, None)
    assert found[0].raw == body


def test_what_is_written_is_read_back() -> None:
    written = encode_comment("still working") + encode_sse(b'{"a":1}') + encode_sse(b"x", "error")
    found, rest = frames([written])
    assert (told(found), rest) == ([(b'{"a":1}', ""), (b"x", "error")], None)
    assert written == b': still working\n\ndata: {"a":1}\n\nevent: error\ndata: x\n\n'
