"""A vendor's list of models is read in any shape seen; what it leaves out is unknown."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.core.route import ListedModel
from moongate.upstreams.listing import read


def listed(*entries: object) -> tuple[ListedModel, ...]:
    return read(json.dumps({"object": "list", "data": entries}).encode(), "moonshot")


def test_the_platforms_list_is_read() -> None:
    recorded = {
        "created": 1788143653,
        "id": "kimi-k2.6",
        "object": "model",
        "owned_by": "moonshot",
        "permission": [{"created": 0, "id": "", "is_blocking": False}],
        "supports_image_in": True,
        "supports_video_in": True,
        "supports_reasoning": True,
        "context_length": 262144,
    }
    assert listed(recorded) == (ListedModel("kimi-k2.6", "moonshot", 1788143653, 262144, True, True, True),)


def test_kimi_codes_list_is_read() -> None:
    recorded = {
        "id": "k3-256k",
        "type": "model",
        "created": 1761264000,
        "created_at": "2025-10-24T00:00:00Z",
        "context_length": 262144,
        "supports_reasoning": True,
        "supports_image_in": True,
        "supports_video_in": False,
        "supports_thinking_type": "both",
        "think_efforts": None,
        "protocol": "anthropic",
    }
    assert listed(recorded) == (ListedModel("k3-256k", "moonshot", 1761264000, 262144, True, True, False),)


def test_what_a_list_leaves_out_is_unknown() -> None:
    assert listed({"id": "m"}) == (ListedModel("m", "moonshot"),)
    assert listed({"id": "m", "created": None, "context_length": None, "supports_image_in": None}) == listed(
        {"id": "m"}
    )


@pytest.mark.parametrize(
    ("said", "length"), [(8192, 8192), (8192.0, 8192), ("8192", 8192), (0, None), (-1, None), (None, None)]
)
def test_a_context_length_is_a_positive_number_or_unknown(said: object, length: int | None) -> None:
    assert listed({"id": "m", "context_length": said})[0].context_length == length


def test_the_length_may_be_spelled_as_vllm_does() -> None:
    assert listed({"id": "m", "max_model_len": 32768})[0].context_length == 32768
    assert listed({"id": "m", "max_model_len": 32768, "context_length": 8192})[0].context_length == 8192


@pytest.mark.parametrize(
    ("type", "flag", "reasoning"),
    [
        ("only", False, True),
        ("both", None, True),
        ("no", True, False),
        ("new", True, True),
        (None, False, False),
        (None, None, None),
    ],
)
def test_the_kind_of_thinking_wins_over_the_flag(type: str | None, flag: bool | None, reasoning: bool | None) -> None:
    assert listed({"id": "m", "supports_thinking_type": type, "supports_reasoning": flag})[0].reasoning is reasoning


def test_an_empty_list_is_a_list() -> None:
    assert listed() == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"data":null}',
        b'{"data":{}}',
        b'{"data":[{}]}',
        b'{"data":[{"id":7}]}',
        b'{"data":["m"]}',
        b'{"data":[{"id":"m","context_length":"long"}]}',
        b'{"data":[{"id":"\xff"}]}',
        b'{"data":' + b"[" * 100_000,
    ],
)
def test_what_is_no_list_of_models_is_refused(body: bytes) -> None:
    with pytest.raises(GatewayError) as failure:
        read(body, "moonshot")
    assert failure.value.kind is Kind.PROTOCOL


@pytest.mark.parametrize("said", ["inf", "nan", "-Infinity"])
@pytest.mark.parametrize("name", ["created", "context_length"])
def test_a_number_without_end_is_refused_or_unknown(name: str, said: str) -> None:
    try:
        assert listed({"id": "m", name: said})[0].context_length is None
    except GatewayError as error:
        assert error.kind is Kind.PROTOCOL  # noqa: PT017


@given(st.binary(max_size=40) | st.dictionaries(st.text(max_size=3), st.integers()).map(json.dumps).map(str.encode))
def test_any_bytes_are_a_list_or_refused(body: bytes) -> None:
    with pytest.raises(GatewayError):
        read(body, "moonshot")
