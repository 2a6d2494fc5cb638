"""Envelopes in any chunking, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.wire.connect import DATA, END, LIMIT, Envelope, EnvelopeDecoder, encode_envelope
from scripted import cut

ENVELOPES = st.lists(st.tuples(st.binary(max_size=300), st.sampled_from([DATA, END])), max_size=8)


def read(*chunks: bytes) -> tuple[list[Envelope], bytes]:
    decoder = EnvelopeDecoder()
    found = [envelope for chunk in chunks for envelope in decoder.feed(chunk)]
    return found, decoder.end()


def test_an_envelope_is_flags_a_length_and_a_payload() -> None:
    assert encode_envelope(b'{"a":1}') == b'\x00\x00\x00\x00\x07{"a":1}'
    assert encode_envelope(b"{}", END) == b"\x02\x00\x00\x00\x02{}"


@given(ENVELOPES)
def test_what_is_encoded_is_read_back(envelopes: list[tuple[bytes, int]]) -> None:
    body = b"".join(encode_envelope(payload, flags) for payload, flags in envelopes)
    found, rest = read(body)
    assert [(one.payload, one.flags) for one in found] == envelopes
    assert rest == b""


@given(ENVELOPES, st.binary(max_size=3), st.lists(st.integers(0, 4000), max_size=12))
def test_any_chunking_gives_the_same_envelopes_and_loses_no_byte(
    envelopes: list[tuple[bytes, int]], tail: bytes, places: list[int]
) -> None:
    body = b"".join(encode_envelope(payload, flags) for payload, flags in envelopes) + b"\x00" * len(tail)
    found, rest = read(*cut(body, places))
    assert (found, rest) == read(body)
    assert b"".join(one.raw for one in found) + rest == body


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_arbitrary_bytes_are_envelopes_or_a_protocol_error(chunks: list[bytes]) -> None:
    body = b"".join(chunks)
    decoder = EnvelopeDecoder()
    found: list[Envelope] = []
    kind = None
    try:
        for chunk in chunks:
            found.extend(decoder.feed(chunk))
    except GatewayError as error:
        kind = error.kind
    told = b"".join(one.raw for one in found)
    if kind is None:
        assert told + decoder.end() == body
    else:
        assert kind is Kind.PROTOCOL
        assert body.startswith(told)


def test_an_envelope_without_payload_is_told_for_its_bytes_alone() -> None:
    found, rest = read(encode_envelope(b"") + encode_envelope(b"{}"))
    assert [one.payload for one in found] == [b"", b"{}"]
    assert rest == b""


def test_half_an_envelope_is_left_over() -> None:
    whole = encode_envelope(b'{"a":1}')
    for length in range(1, len(whole)):
        assert read(whole[:length]) == ([], whole[:length])


@pytest.mark.parametrize("flags", [0x01, 0x03, 0x04, 0x80, 0xFF])
def test_flags_that_cannot_be_read_are_a_protocol_error(flags: int) -> None:
    with pytest.raises(GatewayError) as failure:
        read(bytes((flags,)))
    assert failure.value.kind is Kind.PROTOCOL


def test_an_envelope_longer_than_the_limit_is_refused_by_its_head() -> None:
    assert read(b"\x00" + LIMIT.to_bytes(4, "big"))[0] == []
    with pytest.raises(GatewayError) as failure:
        read(b"\x00" + (LIMIT + 1).to_bytes(4, "big"))
    assert failure.value.kind is Kind.PROTOCOL


def test_the_envelopes_before_a_broken_one_are_told() -> None:
    decoder = EnvelopeDecoder()
    reading = decoder.feed(encode_envelope(b"{}") + b"\x01")
    assert next(reading).payload == b"{}"
    with pytest.raises(GatewayError):
        next(reading)
