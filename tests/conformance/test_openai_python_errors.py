"""OpenAI's own SDK for Python when things go wrong: it raises what OpenAI would make it raise, and never just ends."""

import time
from collections.abc import AsyncIterator, Iterator

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from conformance.stand import Gateway, Witness, scripted

POEM = "Before my bed, the bright moonlight; I took it for frost on the ground. " * 3
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
def own_client(bare_gateway: Gateway) -> Iterator[OpenAI]:
    """Of a caller with an account of its own, of which the gateway may think what it likes."""
    with OpenAI(base_url=bare_gateway.base_url, api_key=bare_gateway.key, max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
async def async_own_client(bare_gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=bare_gateway.base_url, api_key=bare_gateway.key, max_retries=0) as client:
        yield client


def user(content: object = "Hello") -> dict[str, object]:
    return {"role": "user", "content": content}


# The caller's own mistakes.


@STREAMED
def test_a_wrong_key_is_an_authentication_error(gateway: Gateway, streamed: bool) -> None:
    wrong = "sk-example-of-somebody-else"
    with (
        OpenAI(base_url=gateway.base_url, api_key=wrong, max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="kimi-k3", messages=[user()], stream=streamed)
    error = caught.value
    assert (error.status_code, error.code, error.type) == (401, "invalid_api_key", "authentication_error")
    assert error.request_id
    assert error.response.headers["x-moongate-origin"] == "caller"
    assert wrong not in error.message


@STREAMED
def test_an_unknown_model_is_a_not_found_error_with_the_nearest_names(client: OpenAI, streamed: bool) -> None:
    with pytest.raises(openai.NotFoundError, match="kimi-k3") as caught:
        client.chat.completions.create(model="kimi-k33", messages=[user()], stream=streamed)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_describing_an_unknown_model_is_a_not_found_error(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-of-tomorrow")
    assert caught.value.code == "model_not_found"


def test_an_interface_that_is_not_there_is_a_not_found_error(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="/v1/embeddings") as caught:
        client.embeddings.create(model="kimi-k3", input="Hello")
    assert caught.value.code == "unknown_url"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "no role"}]}, "messages[0].role"),
        ({"messages": "Hello"}, "messages"),
        ({"extra_body": {"stream": "yes"}}, "stream"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
def test_a_wrong_field_is_a_bad_request_error_that_names_it(client: OpenAI, wrong: dict, param: str) -> None:
    with pytest.raises(openai.BadRequestError, match=param.replace("[", r"\[")) as caught:
        client.chat.completions.create(**{"model": "kimi-k3", "messages": [user()], **wrong})
    assert (caught.value.type, caught.value.param) == ("invalid_request_error", param)


def test_what_the_model_does_not_take_is_a_bad_request_error(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="invalid n"):
        client.chat.completions.create(model="kimi-k3", messages=[user()], n=3)


# The upstream refuses.

REFUSALS = [
    ("rate_limit_rpm", "kimi-k3", openai.RateLimitError, 429, "rate_limit_exceeded"),
    ("engine_overloaded", "kimi-k3", openai.InternalServerError, 503, "overloaded"),
    ("insufficient_balance", "kimi-k3", openai.RateLimitError, 429, "insufficient_quota"),
    ("content_filter", "kimi-k3", openai.BadRequestError, 400, "content_filter"),
    ("token_limit", "kimi-k3", openai.BadRequestError, 400, "context_length_exceeded"),
    ("ip_not_allowed", "kimi-k3", openai.PermissionDeniedError, 403, "account_barred"),
    ("invalid_authentication", "kimi-k3", openai.AuthenticationError, 401, "credential_refused"),
    ("server_error", "kimi-k3", openai.InternalServerError, 502, "upstream_failed"),
    ("gateway_timeout_html", "kimi-k3", openai.InternalServerError, 504, "timed_out"),
    ("billing_cycle_quota", "kimi-for-coding", openai.RateLimitError, 429, "insufficient_quota"),
    ("coding_agents_only", "kimi-for-coding", openai.PermissionDeniedError, 403, "client_barred"),
    ("membership_inactive", "kimi-for-coding", openai.APIStatusError, 402, "account_barred"),
    ("plan_lacks_model", "k3", openai.PermissionDeniedError, 403, "model_not_in_plan"),
]


@STREAMED
@pytest.mark.parametrize(("row", "model", "raised", "status", "code"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_a_refusal_upstream_raises_its_kind(
    bare_gateway: Gateway,
    streamed: bool,
    row: str,
    model: str,
    raised: type[openai.APIStatusError],
    status: int,
    code: str,
) -> None:
    """Before a stream has begun it is an ordinary error."""
    kind_of_key = "sk-example" if model == "kimi-k3" else "sk-kimi-example"
    key = bare_gateway.key.replace("sk-example", kind_of_key)
    with (
        OpenAI(base_url=bare_gateway.base_url, api_key=key, max_retries=0) as client,
        pytest.raises(raised) as caught,
    ):
        client.chat.completions.create(model=model, messages=[user(scripted(refuse=row))], stream=streamed)
    error = caught.value
    assert (error.status_code, error.code) == (status, code)
    assert error.type
    assert error.message
    assert error.response.headers["x-moongate-origin"] == "upstream"
    for secret in (key, "org-example0123456789abcdef", "ak-example0123456789", "<"):
        assert secret not in error.message


@pytest.mark.parametrize(
    ("row", "seconds"),
    [("rate_limit_rpm", "1"), ("engine_overloaded_retry_after", "2")],
    ids=["in words", "in a header"],
)
def test_the_moment_to_come_back_is_told(own_client: OpenAI, row: str, seconds: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        own_client.chat.completions.create(model="kimi-k3", messages=[user(scripted(refuse=row))])
    assert caught.value.response.headers["retry-after"] == seconds


def test_the_answer_comes_at_that_moment_by_itself(own_client: OpenAI, witness: Witness) -> None:
    witness.answer_next({"refuse": "rate_limit_rpm"})
    began = time.monotonic()
    completion = own_client.with_options(max_retries=1).chat.completions.create(model="kimi-k3", messages=[user()])
    assert completion.choices[0].finish_reason == "stop"
    assert 1 <= time.monotonic() - began < 5


@pytest.mark.parametrize("failure", [{"refuse": "server_error"}, {"cut_after": 1}], ids=["refused", "cut"])
def test_a_passing_failure_upstream_is_not_noticed(own_client: OpenAI, witness: Witness, failure: dict) -> None:
    witness.answer_next(failure)
    raw = own_client.chat.completions.with_raw_response.create(model="kimi-k3", messages=[user(scripted(text=POEM))])
    assert raw.parse().choices[0].message.content == POEM
    assert raw.headers["x-moongate-attempts"] == "2"


# The answer breaks.

BREAKS = {
    "cut off": {"cut_after": 6},
    "ended too soon": {"close_after": 6},
    "told to be in error": {"error_after": 6, "refuse": "engine_overloaded"},
    "broken JSON": {"malformed_after": 6},
    "silent for too long": {"stall_after": 6},
}
EACH_BREAK = pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS)


@EACH_BREAK
def test_a_stream_that_breaks_raises_after_what_was_said(own_client: OpenAI, script: dict) -> None:
    message = user(scripted(text=POEM, **script))
    stream = own_client.chat.completions.create(model="kimi-k3", stream=True, messages=[message])
    said = []
    with pytest.raises(openai.APIError) as caught:
        said.extend(chunk.choices[0] for chunk in stream)
    text = "".join(choice.delta.content or "" for choice in said)
    assert text
    assert POEM.startswith(text)
    assert all(choice.finish_reason is None for choice in said)
    assert caught.value.message
    assert caught.value.code
    after = own_client.chat.completions.create(model="kimi-k3", messages=[user()])
    assert after.choices[0].finish_reason == "stop"


@EACH_BREAK
def test_the_stream_helper_raises_too(own_client: OpenAI, script: dict) -> None:
    message = user(scripted(text=POEM, **script))
    with (
        own_client.chat.completions.stream(model="kimi-k3", messages=[message]) as stream,
        pytest.raises(openai.APIError),
    ):
        stream.get_final_completion()


@EACH_BREAK
async def test_the_asynchronous_client_raises_too(async_own_client: AsyncOpenAI, script: dict) -> None:
    message = user(scripted(text=POEM, **script))
    stream = await async_own_client.chat.completions.create(model="kimi-k3", stream=True, messages=[message])
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("cut off", "truncated_reply"),
        ("ended too soon", "truncated_reply"),
        ("silent for too long", "timed_out"),
        ("told to be in error", "overloaded"),
    ],
)
def test_a_break_says_what_it_was(own_client: OpenAI, name: str, code: str) -> None:
    message = user(scripted(text=POEM, **BREAKS[name]))
    with pytest.raises(openai.APIError) as caught:
        list(own_client.chat.completions.create(model="kimi-k3", stream=True, messages=[message]))
    assert caught.value.code == code


@STREAMED
@pytest.mark.parametrize(
    ("row", "raised"),
    [
        ("invalid_request", openai.BadRequestError),
        ("rate_limit_rpm", openai.RateLimitError),
        ("insufficient_balance", openai.RateLimitError),
    ],
)
def test_a_refusal_told_under_status_200_before_any_word_is_an_ordinary_error(
    own_client: OpenAI, row: str, raised: type[openai.APIStatusError], streamed: bool
) -> None:
    message = user(scripted(refuse=row, error_after=1 if streamed else 0))
    with pytest.raises(raised):
        own_client.chat.completions.create(model="kimi-k3", messages=[message], stream=streamed)


@pytest.mark.parametrize(
    "script", [{"cut_after": 2}, {"close_after": 2}, {"drop_before_headers": True}], ids=["cut", "closed", "dropped"]
)
def test_a_whole_answer_that_breaks_every_time_is_an_error(own_client: OpenAI, script: dict) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        own_client.chat.completions.create(model="kimi-k3", messages=[user(scripted(text=POEM, **script))])
    assert caught.value.status_code == 502
    assert caught.value.response.headers["x-moongate-attempts"] == "2"


def test_a_stream_refused_after_its_heartbeats_raises(own_client: OpenAI) -> None:
    """The status had left with the first heartbeat, so the refusal is told in the stream."""
    message = user(scripted(refuse="rate_limit_rpm", silent_before_headers=1.3))
    with pytest.raises(openai.APIError, match="max RPM") as caught:
        list(own_client.chat.completions.create(model="kimi-k3", stream=True, messages=[message]))
    assert caught.value.code == "rate_limit_exceeded"


def test_the_sdks_own_patience_ends_with_the_upstream_let_go(client: OpenAI, witness: Witness) -> None:
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).chat.completions.create(
            model="kimi-k3", messages=[user(scripted(silent_before_headers=30))]
        )
    assert witness.ended() == "hung_up"
