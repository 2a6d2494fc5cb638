"""OpenAI's SDK with nothing but a web account's token for a key."""

import json
import urllib.request
from collections.abc import Iterator
from itertools import count

import openai
import pytest
from openai import OpenAI

from conformance.stand import PIXEL, Gateway, Witness

_USERS = count(1)
PAGE = {"title": "Forecast", "url": "https://example.org/forecast"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def client(bare_gateway: Gateway, witness: Witness) -> Iterator[OpenAI]:
    user = f"{witness.url}/_simulator/web/users?name=sdk-{next(_USERS)}"
    with urllib.request.urlopen(urllib.request.Request(user, data=b"{}", method="POST"), timeout=10) as reply:
        token = json.load(reply)["refresh_token"]
    with OpenAI(base_url=bare_gateway.base_url, api_key=token, max_retries=0, timeout=20) as client:
        yield client


def asking(**script: object) -> list[dict[str, object]]:
    """A question that says how the simulated site is to answer it."""
    return [{"role": "user", "content": f"What is the weather?\nsimulate-web: {json.dumps(script)}"}]


def test_an_answer_comes_with_what_it_is_taken_from(client: OpenAI) -> None:
    completion = client.chat.completions.create(model="k2", messages=asking(text="Sunny[[1]].", search=[PAGE]))
    [choice] = completion.choices
    assert (choice.message.content, choice.finish_reason) == ("Sunny[1].", "stop")
    [annotation] = choice.message.annotations
    citation = annotation.url_citation
    assert (annotation.type, citation.url, citation.title) == ("url_citation", PAGE["url"], PAGE["title"])
    assert choice.message.content[citation.start_index : citation.end_index] == "[1]"
    assert completion.usage.total_tokens > 0


def test_a_stream_adds_up_to_the_same(client: OpenAI) -> None:
    messages = asking(thinking="Let me look.", text="Sunny[[1]], 你好 🌕.", search=[PAGE], piece=1, split=3)
    with client.chat.completions.stream(model="k2-thinking", messages=messages) as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    assert message.content == "Sunny[1], 你好 🌕."
    assert message.model_extra["reasoning_content"] == "Let me look."
    assert message.annotations[0].url_citation.url == PAGE["url"]


@pytest.mark.parametrize("when", ["trailer mid-text", "trailer after done", "exception mid-text"])
def test_a_stream_that_fails_raises(client: OpenAI, when: str) -> None:
    messages = asking(text="Half of an answer", refuse="overloaded_for_free_user", refuse_when=when)
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model="k2", messages=messages, stream=True))


def test_a_picture_and_a_tool_session(client: OpenAI) -> None:
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": content},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "a black pixel"},
    ]
    answer = client.chat.completions.with_raw_response.create(model="k2", messages=messages, tools=[TOOL])
    assert answer.parse().choices[0].message.content
    assert "4 messages told as one" in answer.headers["x-moongate-notes"]


def test_a_wrong_token_is_an_authentication_error(bare_gateway: Gateway, client: OpenAI) -> None:
    head, body, _ = client.api_key.split(".")
    with (
        OpenAI(base_url=bare_gateway.base_url, api_key=f"{head}.{body}.forged", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        stranger.chat.completions.create(model="k2", messages=asking())
    assert body[:40] not in str(caught.value)
