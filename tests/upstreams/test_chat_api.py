"""What leaves for an account that speaks OpenAI chat, and how its answers are taken."""

from typing import Any

import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.core.route import ListedModel, Route
from moongate.core.sealed import Sealed
from moongate.upstreams.chat_api import ChatApi
from moongate.upstreams.kimi_code import kimi_code
from moongate.upstreams.moonshot import moonshot
from moongate.upstreams.upstream import Opening
from moongate.wire.http import HttpHead, HttpReply
from scripted import asked, turned

KEY = Sealed("sk-example-0123456789")
PLATFORM = moonshot("https://platform.example/v1", "moongate/test")
CODING = kimi_code("https://code.example/coding/v1", "moongate/test")
ODD = b'{"zz":{"b": 1.00,"a":12345678901234567890},"messages":[{"role":"user","content":"\\u4f60 hi"}],"model":"alias"}'


def opened(upstream: ChatApi, body: bytes, model: str, *, thinking: bool = False, **asking: Any) -> Opening:
    ask = asked(body, **{"model": "alias", **asking})
    flow = upstream.open(turned(ask), Route(upstream.name, model, thinking=thinking), KEY)
    with pytest.raises(StopIteration) as stop:
        next(flow)
    opening: Opening = stop.value.value
    return opening


def test_the_call_is_described() -> None:
    opening = opened(PLATFORM, ODD, "alias")
    assert opening.call.method == "POST"
    assert opening.call.url == "https://platform.example/v1/chat/completions"
    assert opening.call.headers == {
        "authorization": "Bearer sk-example-0123456789",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": "moongate/test",
    }
    assert opening.call.body is ODD
    assert (opening.dialect, opening.notes) == ("openai.chat", ())


def test_where_it_stands_and_what_it_is_called_is_data() -> None:
    assert opened(CODING, ODD, "alias").call.url == "https://code.example/coding/v1/chat/completions"
    assert (PLATFORM.name, CODING.name, moonshot("x", "y", "simulator").name) == ("moonshot", "kimi-code", "simulator")


def test_a_renamed_model_is_all_that_changes() -> None:
    assert opened(PLATFORM, ODD, "kimi-k3").call.body == ODD.replace(b'"alias"', b'"kimi-k3"')


@pytest.mark.parametrize(
    ("said", "leaves"),
    [
        (b"", b',"thinking":{"type":"enabled"}}'),
        (b',"thinking":null', b',"thinking":{"type":"enabled"}}'),
        (b',"thinking":{"type":"disabled"}', b',"thinking":{"type":"enabled"}}'),
        (b',"thinking":{"type":"disabled","effort":"low"}', b',"thinking":{"type":"enabled","effort":"low"}}'),
        (b',"thinking":"on"', b',"thinking":{"type":"enabled"}}'),
    ],
)
def test_a_thinking_name_switches_thinking_on(said: bytes, leaves: bytes) -> None:
    body = b'{"messages":[{"role":"user"}]'
    assert opened(CODING, body + said + b"}", "alias", thinking=True).call.body == body + leaves


def test_an_odd_number_beside_thinking_is_no_failure_of_ours() -> None:
    opened(CODING, b'{"messages":[],"thinking":{"x":1e400}}', "kimi-for-coding", thinking=True)


def test_a_request_is_made_to_fit_the_model_it_is_sent_to() -> None:
    body = b'{"messages":[{"role":"user"}],"model":"alias","temperature":0.6,"thinking":{"type":"disabled"}}'
    assert opened(CODING, body, "alias").notes == ()
    thinking = opened(CODING, body, "kimi-for-coding", thinking=True)
    assert thinking.notes == ("temperature left out: kimi-for-coding takes only 1",)
    assert b"temperature" not in thinking.call.body


def test_what_cannot_be_asked_is_refused_before_anything_is_sent() -> None:
    flow = PLATFORM.open(turned(asked(b'{"temperature":0}', params="strict")), Route("moonshot", "kimi-k3"), KEY)
    with pytest.raises(GatewayError) as failure:
        next(flow)
    assert failure.value.kind is Kind.INVALID_REQUEST


def test_a_refusal_is_explained_without_the_credential() -> None:
    opening = opened(PLATFORM, ODD, "alias")
    error = opening.explain(HttpHead(400), b'{"error":{"message":"bad sk-example-0123456789"}}')
    assert (error.kind, error.message) == (Kind.REQUEST_REFUSED, "bad [redacted]")
    odd = Sealed("no-known-shape")
    flow = PLATFORM.open(turned(asked(ODD)), Route("moonshot", "kimi-k3"), odd)
    with pytest.raises(StopIteration) as stop:
        next(flow)
    assert stop.value.value.explain(HttpHead(400), b"bad no-known-shape").message == "bad [redacted]"


def test_the_reader_is_told_by_the_replys_head() -> None:
    opening = opened(PLATFORM, ODD, "alias")
    with pytest.raises(GatewayError):
        opening.decoder(HttpHead(200, {"content-type": "text/html"}))
    readings = list(opening.decoder(HttpHead(200, {"content-type": "text/event-stream"})).feed(b": x\n\n"))
    assert [reading.raw for reading in readings] == [b": x\n\n"]


def test_models_are_listed_as_the_upstreams_own() -> None:
    flow = CODING.models(KEY)
    call = next(flow)
    assert (call.method, call.url) == ("GET", "https://code.example/coding/v1/models")
    assert call.headers["authorization"] == "Bearer sk-example-0123456789"
    with pytest.raises(StopIteration) as stop:
        flow.send(HttpReply(HttpHead(200), b'{"data":[{"id":"k3"}]}'))
    assert stop.value.value == (ListedModel("k3", "kimi-code"),)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Kind.CREDENTIAL_REFUSED), (402, Kind.ACCOUNT_BARRED), (500, Kind.FAILED), (204, Kind.FAILED)],
)
def test_a_list_that_is_refused_is_explained(status: int, kind: Kind) -> None:
    flow = CODING.models(KEY)
    next(flow)
    with pytest.raises(GatewayError) as failure:
        flow.send(HttpReply(HttpHead(status), b'{"error":{"message":"no sk-example-0123456789"}}'))
    assert failure.value.kind is kind
    assert "sk-example" not in failure.value.message
