"""LangChain's ChatOpenAI: what agents and chains are built from."""

from collections.abc import Callable, Iterator

import openai
import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from conformance.stand import PIXEL, Gateway, Witness, scripted

POEM = "床前明月光，疑是地上霜。🌕 Raising my head, I look at the bright moon; 低头思故乡。"


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    degrees: int


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"{city}: 晴，21°C"


@pytest.fixture
def chat(gateway: Gateway) -> Callable[..., ChatOpenAI]:
    def make(**settings: object) -> ChatOpenAI:
        given = {"model": "kimi-k3", "max_retries": 0, "timeout": 20, "include_response_headers": True, **settings}
        return ChatOpenAI(base_url=gateway.base_url, api_key=gateway.key, **given)

    return make


def gathered(chunks: Iterator[AIMessageChunk]) -> AIMessageChunk:
    """A streamed message put together as LangChain does it."""
    first, *rest = chunks
    return sum(rest, start=first)


def test_it_is_invoked(chat: Callable[..., ChatOpenAI]) -> None:
    message = chat().invoke([SystemMessage("Be brief"), HumanMessage("Hello, 你好")])
    assert "Hello, 你好" in message.content
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["model_name"] == "kimi-k3"
    usage = message.usage_metadata
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
    assert usage["output_token_details"]["reasoning"] > 0


def test_it_streams_with_usage(chat: Callable[..., ChatOpenAI], witness: Witness) -> None:
    chunks = list(chat(stream_usage=True).stream(scripted(reasoning="Let me recite.", text=POEM)))
    assert len(chunks) > 5
    message = gathered(iter(chunks))
    assert message.content == POEM
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.usage_metadata["total_tokens"] > 0
    assert witness.asked()["stream_options"] == {"include_usage": True}


async def test_it_works_asynchronously(chat: Callable[..., ChatOpenAI]) -> None:
    model = chat()
    assert (await model.ainvoke(scripted(text=POEM))).content == POEM
    assert "".join([chunk.content async for chunk in model.astream(scripted(text=POEM))]) == POEM
    assert [message.content for message in await model.abatch([scripted(text=POEM)] * 5)] == [POEM] * 5


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_its_tools_are_called_and_answered(chat: Callable[..., ChatOpenAI], witness: Witness, streamed: bool) -> None:
    model = chat().bind_tools([get_weather])
    calls = [["get_weather", '{"city": "北京"}'], ["get_weather", '{"city": "Paris"}']]
    messages = [HumanMessage(scripted("The weather?", tools=calls))]
    asking = gathered(model.stream(messages)) if streamed else model.invoke(messages)
    assert [call["args"] for call in asking.tool_calls] == [{"city": "北京"}, {"city": "Paris"}]
    assert asking.invalid_tool_calls == []
    messages += [asking, *(get_weather.invoke(call) for call in asking.tool_calls)]
    assert all(isinstance(message, ToolMessage) for message in messages[2:])
    answer = gathered(model.stream(messages)) if streamed else model.invoke(messages)
    assert answer.content
    assert answer.tool_calls == []
    assert [message["content"] for message in witness.asked()["messages"][2:]] == ["北京: 晴，21°C", "Paris: 晴，21°C"]


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_its_output_is_structured(chat: Callable[..., ChatOpenAI], method: str) -> None:
    model = chat().with_structured_output(Weather, method=method)
    if method == "json_mode":
        assert model.invoke(scripted("In JSON", text='{"city": "北京", "degrees": 21}')) == Weather(
            city="北京", degrees=21
        )
    else:
        assert isinstance(model.invoke("The weather of Beijing?"), Weather)


def test_an_image_is_seen(chat: Callable[..., ChatOpenAI], witness: Witness) -> None:
    url = {"type": "image_url", "image_url": {"url": PIXEL}}
    data = {"type": "image", "base64": PIXEL.partition(",")[2], "mime_type": "image/png"}
    message = chat().invoke([HumanMessage([{"type": "text", "text": "What are they?"}, url, data])])
    assert "2 images received" in message.content
    assert [part["type"] for part in witness.asked()["messages"][0]["content"]] == ["text", "image_url", "image_url"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_the_temperature_that_chains_are_written_with_is_adapted_and_said(
    chat: Callable[..., ChatOpenAI], witness: Witness, streamed: bool
) -> None:
    model = chat(temperature=0)
    message = gathered(model.stream("Hello")) if streamed else model.invoke("Hello")
    assert message.content
    assert "temperature left out" in message.response_metadata["headers"]["x-moongate-notes"]
    assert "temperature" not in witness.asked()


def test_a_wrong_key_and_an_unknown_model_are_told(chat: Callable[..., ChatOpenAI], gateway: Gateway) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        chat(model="gpt-of-tomorrow").invoke("Hello")
    wrong = ChatOpenAI(base_url=gateway.base_url, api_key="sk-example-of-somebody-else", model="kimi-k3", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        wrong.invoke("Hello")


def test_a_prompt_that_is_too_long_is_known_as_such(chat: Callable[..., ChatOpenAI]) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat().invoke(scripted(refuse="token_limit"))
    assert caught.value.code == "context_length_exceeded"


def test_a_stream_that_breaks_raises(chat: Callable[..., ChatOpenAI]) -> None:
    said = []
    with pytest.raises(openai.APIError):
        said.extend(chunk.content for chunk in chat().stream(scripted(text=POEM * 3, cut_after=6)))
    assert "".join(said)
