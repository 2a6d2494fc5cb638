"""What a head says of its body."""

import pytest

from moongate.wire.http import HttpHead


@pytest.mark.parametrize(
    ("header", "media_type"),
    [
        ("text/event-stream", "text/event-stream"),
        ("Text/Event-Stream; charset=utf-8", "text/event-stream"),
        (" application/json ;x", "application/json"),
        ("", ""),
    ],
)
def test_a_media_type_is_read_without_its_parameters(header: str, media_type: str) -> None:
    assert HttpHead(200, {"content-type": header}).media_type == media_type


def test_a_head_without_a_type_has_none() -> None:
    assert HttpHead(200).media_type == ""
