"""Any server that speaks OpenAI's chat interface: sent what came, with a key or without, and read as all others."""

import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.core.route import ListedModel, Route
from moongate.core.sealed import Sealed
from moongate.upstreams.openai import provider
from moongate.upstreams.upstream import Opening
from moongate.wire.http import HttpHead, HttpReply
from scripted import asked, turned

DEEPSEEK = provider("deepseek", "https://p.example/v1", "moongate/test")
KEY, NO_KEY = Sealed("sk-example-0123456789"), Sealed("")
PECULIAR = b'{"model":"alias","temperature":3.10,"top_p":0,"messages":[{"role":"system","content":""}],"n":2,"x":1e400}'


def opened(body: bytes, model: str, credential: Sealed = KEY) -> Opening:
    flow = DEEPSEEK.open(turned(asked(body, model="alias")), Route("deepseek", model), credential)
    with pytest.raises(StopIteration) as stop:
        next(flow)
    opening: Opening = stop.value.value
    return opening


def listed(status: int, body: bytes) -> tuple[ListedModel, ...]:
    flow = DEEPSEEK.models(NO_KEY)
    call = next(flow)
    assert (call.method, call.url) == ("GET", "https://p.example/v1/models")
    assert "authorization" not in call.headers
    with pytest.raises(StopIteration) as stop:
        flow.send(HttpReply(HttpHead(status), body))
    models: tuple[ListedModel, ...] = stop.value.value
    return models


def test_the_body_leaves_as_it_came() -> None:
    opening = opened(PECULIAR, "alias")
    assert opening.call.url == "https://p.example/v1/chat/completions"
    assert opening.call.body is PECULIAR
    assert opening.notes == ()


def test_nothing_but_the_models_name_is_changed() -> None:
    assert opened(PECULIAR, "deepseek-chat").call.body == PECULIAR.replace(b'"alias"', b'"deepseek-chat"')


def test_a_key_is_sent_where_there_is_one() -> None:
    assert opened(PECULIAR, "alias").call.headers["authorization"] == "Bearer sk-example-0123456789"
    assert "authorization" not in opened(PECULIAR, "alias", NO_KEY).call.headers


def test_a_refusal_without_a_key_is_told_as_it_is() -> None:
    error = opened(PECULIAR, "alias", NO_KEY).explain(HttpHead(400), b'{"error":{"message":"no good"}}')
    assert (error.kind, error.message) == (Kind.REQUEST_REFUSED, "no good")


def test_a_wrong_base_url_is_told_with_it() -> None:
    error = opened(PECULIAR, "alias").explain(HttpHead(404), b'{"detail":"Not Found"}')
    assert error.kind is Kind.MISDIRECTED
    assert error.message.endswith("(is the base URL right?): https://p.example/v1 was asked")


def test_its_models_are_the_providers_own() -> None:
    assert listed(200, b'{"data":[{"id":"deepseek-chat"}]}') == (ListedModel("deepseek-chat", "deepseek"),)


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_need_not_have_a_list(status: int) -> None:
    assert listed(status, b'{"detail":"Not Found"}') == ()


@pytest.mark.parametrize(("status", "kind"), [(401, Kind.CREDENTIAL_REFUSED), (500, Kind.FAILED)])
def test_a_list_that_is_refused_is_a_failure(status: int, kind: Kind) -> None:
    flow = DEEPSEEK.models(KEY)
    next(flow)
    with pytest.raises(GatewayError) as failure:
        flow.send(HttpReply(HttpHead(status), b""))
    assert failure.value.kind is kind
