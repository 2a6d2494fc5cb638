"""OpenAI's own SDK for Python: what works with OpenAI works here."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from conformance.stand import PIXEL, Gateway, Witness, scripted

POEM = "床前明月光，疑是地上霜。🌕 Raising my head, I look at the bright moon; 低头思故乡。"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}
BEIJING = '{"city": "北京"}'


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    unit: Literal["celsius", "fahrenheit"]


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
async def async_client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0, timeout=20) as client:
        yield client


def user(content: object = "Hello") -> dict[str, object]:
    return {"role": "user", "content": content}


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def extra(of: BaseModel, name: str) -> object:
    """A member that the SDK has no field for."""
    return (of.model_extra or {}).get(name)


# Whole and streamed.


def test_a_whole_answer_has_all_that_the_sdk_declares(client: OpenAI) -> None:
    completion = client.chat.completions.create(model="kimi-k3", messages=[user("Hello, 你好")])
    [choice] = completion.choices
    assert "Hello, 你好" in choice.message.content
    assert (choice.index, choice.message.role, choice.finish_reason) == (0, "assistant", "stop")
    assert choice.message.tool_calls is None
    assert completion.object == "chat.completion"
    assert completion.id
    assert completion.model == "kimi-k3"
    assert completion.created > 1_700_000_000
    usage = completion.usage
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.completion_tokens_details.reasoning_tokens > 0
    assert completion._request_id


def test_a_streamed_answer_is_the_whole_one_in_pieces(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="kimi-k3", stream=True, messages=[user(scripted(reasoning="Let me recite.", text=POEM))]
    )
    chunks = list(stream)
    assert text_of(chunks) == POEM
    assert len(chunks) > 5
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}


def test_a_stream_tells_its_usage_only_when_asked(client: OpenAI) -> None:
    plain = list(client.chat.completions.create(model="kimi-k3", stream=True, messages=[user()]))
    assert all(chunk.usage is None and chunk.choices for chunk in plain)
    *chunks, last = client.chat.completions.create(
        model="kimi-k3", stream=True, stream_options={"include_usage": True}, messages=[user()]
    )
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert last.choices == []
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens > 0


def test_a_stream_may_be_left_early_and_the_client_goes_on(client: OpenAI, witness: Witness) -> None:
    message = user(scripted(text=POEM * 20, pause=0.02))
    with client.chat.completions.create(model="kimi-k3", stream=True, messages=[message]) as stream:
        next(iter(stream))
    assert witness.ended() == "hung_up"
    assert client.chat.completions.create(model="kimi-k3", messages=[user()]).choices


def test_characters_arrive_whole_however_their_bytes_were_cut(client: OpenAI) -> None:
    message = user(scripted(text=POEM, piece=1, split=1, comments=True, crlf=True))
    chunks = list(client.chat.completions.create(model="kimi-k3", stream=True, messages=[message]))
    assert text_of(chunks) == POEM


def test_a_long_answer_to_a_long_question_arrives_whole(client: OpenAI, witness: Witness) -> None:
    question = "月" * 100_000
    message = user(scripted(question, text=POEM * 1000, piece=500))
    chunks = list(client.chat.completions.create(model="kimi-k3", stream=True, messages=[message]))
    assert text_of(chunks) == POEM * 1000
    assert question in witness.asked()["messages"][0]["content"]


def test_the_stream_helper_accumulates_a_completion(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="kimi-k3",
        messages=[user(scripted(reasoning="Let me recite.", text=POEM))],
        stream_options={"include_usage": True},
    ) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert "".join(event.delta for event in events if event.type == "content.delta") == POEM
    assert [event.content for event in events if event.type == "content.done"] == [POEM]
    assert final.choices[0].message.content == POEM
    assert extra(final.choices[0].message, "reasoning_content") == "Let me recite."
    assert final.choices[0].finish_reason == "stop"
    assert final.usage.completion_tokens > 0


def test_a_silence_upstream_is_filled_with_what_the_sdk_skips(bare_gateway: Gateway) -> None:
    """Comments keep the connection open; they come before the first event and among them."""
    message = user(scripted(text=POEM, silent_before_headers=1.3, silent_before_first_chunk=1.3))
    with (
        OpenAI(base_url=bare_gateway.base_url, api_key=bare_gateway.key, max_retries=0) as client,
        client.chat.completions.with_streaming_response.create(
            model="kimi-k3", stream=True, messages=[message]
        ) as reply,
    ):
        assert text_of(list(reply.parse())) == POEM


def test_a_stream_is_a_stream_although_the_upstream_answered_whole(client: OpenAI) -> None:
    calls = [["get_weather", BEIJING], ["get_time", "{}"]]
    message = user(scripted(answer_as="whole", reasoning="Let me see.", text=POEM, tools=calls))
    with client.chat.completions.stream(
        model="kimi-k3", messages=[message], tools=[WEATHER, CLOCK], stream_options={"include_usage": True}
    ) as stream:
        told = stream.get_final_completion()
    [choice] = told.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", POEM, "tool_calls")
    assert extra(choice.message, "reasoning_content") == "Let me see."
    assert [[call.function.name, call.function.arguments] for call in choice.message.tool_calls] == calls
    assert told.usage.total_tokens > told.usage.completion_tokens_details.reasoning_tokens > 0


def test_a_whole_answer_is_whole_although_the_upstream_streamed(client: OpenAI) -> None:
    calls = [["get_weather", BEIJING], ["get_time", "{}"]]
    message = user(scripted(answer_as="stream", reasoning="Let me see.", text=POEM, tools=calls))
    completion = client.chat.completions.create(model="kimi-k3", messages=[message], tools=[WEATHER, CLOCK])
    [choice] = completion.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", POEM, "tool_calls")
    assert extra(choice.message, "reasoning_content") == "Let me see."
    assert [[call.function.name, call.function.arguments] for call in choice.message.tool_calls] == calls
    assert completion.usage.total_tokens > completion.usage.completion_tokens_details.reasoning_tokens > 0


def test_a_request_keeps_the_name_its_caller_gave_it(client: OpenAI) -> None:
    named = {"x-request-id": "my-request-1"}
    completion = client.chat.completions.create(model="kimi-k3", messages=[user()], extra_headers=named)
    assert completion._request_id == "my-request-1"


# Tools.


def test_a_tool_is_called_and_its_result_reaches_the_model(client: OpenAI, witness: Witness) -> None:
    messages = [user(scripted(reasoning="I need a tool.", tools=[["get_weather", BEIJING]]))]
    first = client.chat.completions.create(model="kimi-k3", messages=messages, tools=[WEATHER])
    [choice] = first.choices
    [call] = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert (call.type, call.function.name) == ("function", "get_weather")
    assert json.loads(call.function.arguments) == {"city": "北京"}

    messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "晴，21°C"}]
    second = client.chat.completions.create(model="kimi-k3", messages=messages, tools=[WEATHER])
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content
    asked = witness.asked()["messages"]
    assert asked[1]["tool_calls"][0]["id"] == call.id
    assert asked[1]["reasoning_content"] == "I need a tool."
    assert asked[2] == {"role": "tool", "tool_call_id": call.id, "content": "晴，21°C"}


@pytest.mark.parametrize("id_style", ["name_n", "functions.name:n", "call_…"])
def test_a_streamed_tool_call_can_be_put_together(client: OpenAI, id_style: str) -> None:
    message = user(scripted(tools=[["get_weather", BEIJING]], piece=2, id_style=id_style))
    chunks = list(
        client.chat.completions.create(
            model="kimi-k3", stream=True, messages=[message], tools=[WEATHER], parallel_tool_calls=False
        )
    )
    pieces = [piece for chunk in chunks for piece in chunk.choices[0].delta.tool_calls or ()]
    assert len(pieces) > 3
    assert {piece.index for piece in pieces} == {0}
    assert pieces[0].id
    assert (pieces[0].type, pieces[0].function.name) == ("function", "get_weather")
    assert "".join(piece.function.arguments or "" for piece in pieces) == BEIJING
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_tools_called_in_parallel_are_answered_together(client: OpenAI, streamed: bool) -> None:
    calls = [["get_weather", BEIJING], ["get_weather", '{"city": "Paris"}'], ["get_time", "{}"]]
    messages = [user(scripted("What is it like?", text="Let me see.", tools=calls))]
    asked = {"model": "kimi-k3", "messages": messages, "tools": [WEATHER, CLOCK]}
    if streamed:
        with client.chat.completions.stream(**asked) as stream:
            message = stream.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(**asked).choices[0].message
    assert message.content == "Let me see."
    assert [[call.function.name, call.function.arguments] for call in message.tool_calls] == calls
    assert len({call.id for call in message.tool_calls}) == 3

    answers = [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in message.tool_calls]
    messages += [message.model_dump(exclude_none=True, exclude={"parsed"}), *answers]
    assert client.chat.completions.create(**asked).choices[0].finish_reason == "stop"


def test_the_stream_helper_parses_the_arguments_of_tools(client: OpenAI) -> None:
    arguments = '{"city": "北京", "unit": "celsius"}'
    with client.chat.completions.stream(
        model="kimi-k3",
        messages=[user(scripted(tools=[["Weather", arguments]], piece=3))],
        tools=[openai.pydantic_function_tool(Weather)],
    ) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
    [event] = done
    assert (event.name, event.arguments) == ("Weather", arguments)
    assert event.parsed_arguments == Weather(city="北京", unit="celsius")


def test_a_tool_that_is_demanded_by_name_is_called(client: OpenAI, witness: Witness) -> None:
    """Kimi refuses a named tool; the demand is met another way, and that is said."""
    raw = client.chat.completions.with_raw_response.create(
        model="kimi-k3",
        messages=[user()],
        tools=[CLOCK, WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    )
    [call] = raw.parse().choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert "get_weather" in raw.headers["x-moongate-notes"]
    assert witness.asked()["tool_choice"] == "required"


# What else a request may hold.


def test_an_image_is_seen(client: OpenAI, witness: Witness) -> None:
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    completion = client.chat.completions.create(model="kimi-k3", messages=[user(content)])
    assert "1 image received" in completion.choices[0].message.content
    assert witness.asked()["messages"][0]["content"] == content


def test_an_answer_in_json_is_json(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model="kimi-k3", messages=[user("Answer in JSON")], response_format={"type": "json_object"}
    )
    assert json.loads(completion.choices[0].message.content)["you_said"] == "Answer in JSON"


def test_an_answer_by_a_schema_is_parsed_by_the_sdk(client: OpenAI) -> None:
    completion = client.chat.completions.parse(
        model="kimi-k3", messages=[user("The weather?")], response_format=Weather
    )
    parsed = completion.choices[0].message.parsed
    assert isinstance(parsed, Weather)
    assert parsed.unit == "celsius"
    with client.chat.completions.stream(model="kimi-k3", messages=[user()], response_format=Weather) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == parsed


def test_reasoning_is_reachable(client: OpenAI) -> None:
    message = user(scripted(reasoning="让我想想。Let me think.", text="42"))
    whole = client.chat.completions.create(model="kimi-k3", messages=[message]).choices[0].message
    assert (extra(whole, "reasoning_content"), whole.content) == ("让我想想。Let me think.", "42")
    chunks = list(client.chat.completions.create(model="kimi-k3", stream=True, messages=[message]))
    told = "".join(str(extra(chunk.choices[0].delta, "reasoning_content") or "") for chunk in chunks)
    assert (told, text_of(chunks)) == ("让我想想。Let me think.", "42")


def test_thinking_can_be_switched_off(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model="kimi-k2.6", messages=[user()], extra_body={"thinking": {"type": "disabled"}}
    )
    assert not extra(completion.choices[0].message, "reasoning_content")
    assert completion.choices[0].message.content


def test_fields_of_kimi_and_of_nobody_reach_the_upstream(client: OpenAI, witness: Witness) -> None:
    fields = {"prompt_cache_key": "session-1", "safety_identifier": "someone", "field_of_tomorrow": {"deep": [1, None]}}
    messages = [user("Write a poem"), {"role": "assistant", "content": "The moon", "partial": True}]
    client.chat.completions.create(
        model="kimi-k3", messages=messages, seed=7, stop=["。"], max_tokens=64, user="someone", extra_body=fields
    )
    asked = witness.asked()
    assert {name: asked[name] for name in fields} == fields
    assert asked["messages"] == messages
    assert (asked["seed"], asked["stop"], asked["max_tokens"]) == (7, ["。"], 64)


def test_what_kimi_would_refuse_is_adapted_and_said(client: OpenAI, witness: Witness) -> None:
    messages = [{"role": "developer", "content": "Be brief"}, user("Hello")]
    raw = client.chat.completions.with_raw_response.create(
        model="kimi-k3", messages=messages, temperature=0, top_p=0.5, presence_penalty=1
    )
    assert raw.parse().choices[0].message.content
    notes = raw.headers["x-moongate-notes"]
    for changed in ("temperature", "top_p", "presence_penalty", "developer"):
        assert changed in notes
    asked = witness.asked()
    assert asked["messages"][0] == {"role": "system", "content": "Be brief"}
    assert not {"temperature", "top_p", "presence_penalty"} & set(asked)


def test_a_strict_caller_is_refused_instead_of_adapted(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature") as caught:
        client.chat.completions.create(
            model="kimi-k3", messages=[user()], temperature=0, extra_headers={"x-moongate-params": "strict"}
        )
    assert caught.value.param == "temperature"


# Models, and where they are reached.


def test_models_are_listed_and_described(client: OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert {"kimi-k3", "kimi-k2.6", "kimi-for-coding", "kimi-for-coding-thinking", "k3"} <= set(models)
    assert all(model.object == "model" and model.owned_by for model in models.values())
    assert extra(models["kimi-k3"], "context_length") == 1_048_576
    assert client.models.retrieve("kimi-k3") == models["kimi-k3"]


def test_an_upstream_is_addressed_in_the_name_of_the_model(client: OpenAI, witness: Witness) -> None:
    assert client.models.retrieve("moonshot/kimi-k3").id == "moonshot/kimi-k3"
    raw = client.chat.completions.with_raw_response.create(model="moonshot/kimi-k3", messages=[user()])
    assert raw.headers["x-moongate-route"] == "moonshot/kimi-k3"
    assert raw.parse().choices
    assert witness.asked()["model"] == "kimi-k3"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_the_thinking_model_for_coding_thinks(client: OpenAI, witness: Witness, streamed: bool) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="kimi-for-coding-thinking", messages=[user()], stream=streamed
    )
    reply = raw.parse()
    said = [chunk.choices[0].delta for chunk in reply] if streamed else [reply.choices[0].message]
    assert any(extra(piece, "reasoning_content") for piece in said)
    assert raw.headers["x-moongate-route"] == "kimi-code/kimi-for-coding"
    assert "thinking" in raw.headers["x-moongate-notes"]
    asked = witness.asked()
    assert (asked["model"], asked["thinking"]) == ("kimi-for-coding", {"type": "enabled"})


def test_a_retired_model_is_answered_by_another_and_said(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="moonshot-v1-8k", messages=[user()])
    assert raw.headers["x-moongate-route"] == "moonshot/kimi-k2.6"
    assert "moonshot-v1-8k was retired" in raw.headers["x-moongate-notes"]
    assert raw.parse().choices


def test_a_base_url_made_for_kimi_code_is_swapped_unchanged(gateway: Gateway) -> None:
    with OpenAI(base_url=f"{gateway.url}/coding/v1", api_key=gateway.key, max_retries=0) as client:
        assert client.chat.completions.create(model="kimi-for-coding", messages=[user()]).choices[0].message.content
        chunks = list(client.chat.completions.create(model="kimi-for-coding", stream=True, messages=[user()]))
        assert text_of(chunks)
        assert client.models.retrieve("kimi-for-coding").id == "kimi-for-coding"
        assert "kimi-for-coding" in {model.id for model in client.models.list()}


def test_a_caller_may_bring_a_key_of_kimi_to_a_gateway_that_has_none(bare_gateway: Gateway, witness: Witness) -> None:
    with OpenAI(base_url=bare_gateway.base_url, api_key=bare_gateway.key, max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="kimi-k3", messages=[user()])
    assert raw.headers["x-moongate-route"] == "moonshot/kimi-k3"
    assert witness.records()[-1]["headers"]["authorization"].endswith(bare_gateway.key[-4:])


def test_a_gateway_without_credentials_answers_and_says_that_it_simulates(bare_gateway: Gateway) -> None:
    with OpenAI(base_url=bare_gateway.base_url, api_key="whatever", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="kimi-k3", messages=[user()])
    assert raw.headers["x-moongate-route"] == "simulator/kimi-k3"
    assert "simulated" in raw.parse().choices[0].message.content


# The asynchronous client.


async def test_the_asynchronous_client_gets_whole_and_streamed_answers(async_client: AsyncOpenAI) -> None:
    message = user(scripted(reasoning="Let me recite.", text=POEM))
    whole = await async_client.chat.completions.create(model="kimi-k3", messages=[message])
    assert whole.choices[0].message.content == POEM
    stream = await async_client.chat.completions.create(model="kimi-k3", stream=True, messages=[message])
    assert text_of([chunk async for chunk in stream]) == POEM
    async with async_client.chat.completions.stream(model="kimi-k3", messages=[message]) as accumulated:
        assert (await accumulated.get_final_completion()).choices[0].message.content == POEM
    assert "kimi-k3" in [model.id async for model in async_client.models.list()]


async def test_the_asynchronous_client_calls_tools(async_client: AsyncOpenAI) -> None:
    messages = [user(scripted(tools=[["get_weather", BEIJING], ["get_time", "{}"]]))]
    asked = {"model": "kimi-k3", "messages": messages, "tools": [WEATHER, CLOCK]}
    async with async_client.chat.completions.stream(**asked) as stream:
        message = (await stream.get_final_completion()).choices[0].message
    assert [call.function.name for call in message.tool_calls] == ["get_weather", "get_time"]
    answers = [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in message.tool_calls]
    messages += [message.model_dump(exclude_none=True, exclude={"parsed"}), *answers]
    assert (await async_client.chat.completions.create(**asked)).choices[0].finish_reason == "stop"


async def test_answers_to_many_callers_at_once_are_not_mixed_up(async_client: AsyncOpenAI) -> None:
    async def told(number: int) -> str:
        message = user(scripted(text=f"Answer {number}. " * 20, pause=0.005))
        stream = await async_client.chat.completions.create(model="kimi-k3", stream=True, messages=[message])
        return text_of([chunk async for chunk in stream])

    answers = await asyncio.gather(*map(told, range(25)))
    assert answers == [f"Answer {number}. " * 20 for number in range(25)]


async def test_a_cancelled_task_lets_go_of_the_upstream(async_client: AsyncOpenAI, witness: Witness) -> None:
    began = asyncio.Event()

    async def listen() -> None:
        message = user(scripted(text=POEM, stall_after=4))
        async for _ in await async_client.chat.completions.create(model="kimi-k3", stream=True, messages=[message]):
            began.set()

    task = asyncio.create_task(listen())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(witness.ended) == "hung_up"
