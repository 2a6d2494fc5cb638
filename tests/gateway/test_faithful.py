"""Same dialect, not a byte lost: what a caller sends reaches the upstream, what it says reaches the caller."""

import json

import pytest

from harness import Gateway, events
from moongate.simulator import Script, Simulator

TWENTY_DIGITS = 12345678901234567890

ODD_BODY = (
    '{"zz_unknown": {"b": 1.00, "a": 12345678901234567890, "\\u00e9": "\\ud83c\\udf19 月"},'
    ' "model":"kimi-k3" ,"messages":[{"role":"user","content":"你好 🌙 \\u0000","x":[1e2,{}]}], "stream_options":null,'
    '"response_format":{"type":"text"}}'
)


async def test_a_request_reaches_the_upstream_byte_for_byte(gateway: Gateway, sim: Simulator) -> None:
    async with gateway.http.post(gateway.chat_url, data=ODD_BODY.encode()) as reply:
        assert reply.status == 200
    assert sim.seen[-1].body == ODD_BODY.encode()


async def test_renaming_the_model_leaves_every_other_byte(gateway: Gateway, sim: Simulator) -> None:
    compact = ODD_BODY.replace('"model":"kimi-k3"', '"model":"moonshot/kimi-k3"')
    async with gateway.http.post(gateway.chat_url, data=compact.encode()) as reply:
        assert reply.status == 200
    sent = sim.seen[-1].body.decode()
    assert '{"b": 1.00, "a": 12345678901234567890, "\\u00e9": "\\ud83c\\udf19 月"}' in sent
    assert '[{"role":"user","content":"你好 🌙 \\u0000","x":[1e2,{}]}]' in sent
    assert list(json.loads(sent)) == list(json.loads(ODD_BODY))
    assert json.loads(sent)["model"] == "kimi-k3"


async def test_a_whole_reply_reaches_the_caller_byte_for_byte(gateway: Gateway, sim: Simulator) -> None:
    script = Script(text="月 🌙", extra={"zz": {"b": 1, "a": TWENTY_DIGITS}})
    sim.enqueue(script)
    sim.enqueue(script)
    async with gateway.ask() as through:
        told = await through.read()
    async with gateway.http.post(
        f"{sim.platform}/chat/completions",
        json={"model": "kimi-k3", "messages": [{"role": "user", "content": "hello"}]},
        headers={"authorization": "Bearer sk-example-direct"},
    ) as direct:
        said = await direct.read()
    assert str(TWENTY_DIGITS).encode() in told
    assert _without_names(json.loads(told)) == _without_names(json.loads(said))
    assert list(json.loads(told)) == list(json.loads(said))


@pytest.mark.parametrize("split", [None, 1, 7])
async def test_a_stream_reaches_the_caller_as_it_was_cut_and_spelled(
    gateway: Gateway, sim: Simulator, split: int | None
) -> None:
    sim.enqueue(
        Script(reasoning="想", text="héllo 🌙 world", comments=True, crlf=True, split=split, extra={"n": TWENTY_DIGITS})
    )
    async with gateway.ask(stream=True, stream_options={"include_usage": True}) as reply:
        body = await reply.read()
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert body.count(b"\r\n\r\n") >= 5
    assert b": " in body
    assert body.rstrip().endswith(b"data: [DONE]")
    assert body.count(str(TWENTY_DIGITS).encode()) >= 4


async def test_usage_is_read_wherever_it_stands(gateway: Gateway, sim: Simulator) -> None:
    places = (
        Script(text="a", usage_in_choice=True, trailing_usage=False),
        Script(text="a", usage_in_choice=False, trailing_usage=True),
        Script(text="a", usage_in_choice=True, trailing_usage=True),
    )
    for script in places:
        sim.enqueue(script)
        async with gateway.ask("how many?", stream=True, stream_options={"include_usage": True}) as reply:
            await reply.read()
        await sim.settled()
        record = gateway.records()[-1]
        assert record["gen_ai.usage.input_tokens"] == sim.seen[-1].billed.prompt > 0
        assert record["gen_ai.usage.output_tokens"] == sim.seen[-1].billed.completion > 0


async def test_the_thinking_model_of_kimi_code_is_the_plain_one_with_thinking(gateway: Gateway, sim: Simulator) -> None:
    async with gateway.ask(model="kimi-for-coding-thinking", thinking={"type": "disabled", "keep": "all"}) as reply:
        message = (await reply.json())["choices"][0]["message"]
    assert message["reasoning_content"]
    assert sim.seen[-1].path == "/coding/v1/chat/completions"
    assert sim.seen[-1].json["model"] == "kimi-for-coding"
    assert sim.seen[-1].json["thinking"] == {"type": "enabled", "keep": "all"}
    assert reply.headers["x-moongate-route"] == "kimi-code/kimi-for-coding"
    assert "thinking enabled" in reply.headers["x-moongate-notes"]
    assert gateway.records()[-1]["notes"] == ["kimi-for-coding with thinking enabled"]


async def test_a_retired_name_is_answered_by_a_current_model_and_says_so(gateway: Gateway, sim: Simulator) -> None:
    async with gateway.ask(model="moonshot-v1-8k") as reply:
        assert reply.status == 200
    assert sim.seen[-1].json["model"] == "kimi-k2.6"
    assert "moonshot-v1-8k was retired" in reply.headers["x-moongate-notes"]


async def test_what_kimi_refuses_of_common_clients_is_adapted_and_announced(gateway: Gateway, sim: Simulator) -> None:
    body = {
        "model": "kimi-k2.7-code",
        "temperature": 0,
        "top_p": 0.5,
        "presence_penalty": 0,
        "messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "weather?"}]},
        ],
        "tools": [
            {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
            for name in ("weather", "time")
        ],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
    }
    async with gateway.http.post(gateway.chat_url, json=body) as reply:
        assert reply.status == 200, await reply.text()
    sent = sim.seen[-1].json
    assert "temperature" not in sent
    assert "top_p" not in sent
    assert sent["presence_penalty"] == 0
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert sent["messages"][1]["content"] == [{"type": "text", "text": "weather?"}]
    assert sent["tool_choice"] == "auto"
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["weather"]
    notes = reply.headers["x-moongate-notes"]
    for told in ("temperature", "top_p", "developer", "empty text", "tool_choice weather"):
        assert told in notes


async def test_a_forced_tool_is_called_where_thinking_may_give_way(gateway: Gateway, sim: Simulator) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    choice = {"type": "function", "function": {"name": "weather"}}
    async with gateway.ask(model="kimi-k2.6", tools=[tool], tool_choice=choice) as reply:
        message = (await reply.json())["choices"][0]["message"]
    assert message["tool_calls"][0]["function"]["name"] == "weather"
    assert "thinking switched off" in reply.headers["x-moongate-notes"]


async def test_strict_refuses_what_would_have_to_be_changed(gateway: Gateway, sim: Simulator) -> None:
    async with gateway.ask(temperature=0, headers={"x-moongate-params": "strict"}) as reply:
        error = (await reply.json())["error"]
    assert reply.status == 400
    assert reply.headers["x-moongate-origin"] == "caller"
    assert error["param"] == "temperature"
    assert not [seen for seen in sim.seen if seen.method == "POST"]


async def test_pass_sends_it_as_it_came_and_hands_the_refusal_back(gateway: Gateway) -> None:
    async with gateway.ask(temperature=0, headers={"x-moongate-params": "pass"}) as reply:
        error = (await reply.json())["error"]
    assert reply.status == 400
    assert reply.headers["x-moongate-origin"] == "upstream"
    assert error["message"] == "invalid temperature: only 1 is allowed for this model"
    assert error["type"] == "invalid_request_error"


async def test_a_stream_answered_whole_and_the_reverse_still_arrive_as_asked(gateway: Gateway, sim: Simulator) -> None:
    tools = (("weather", '{"city":"巴黎"}'),)
    sim.enqueue(Script(reasoning="hm", text="so", tools=tools, answer_as="whole"))
    async with gateway.ask(stream=True) as reply:
        *chunks, done = events(await reply.read())
    assert done == "[DONE]"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    sim.enqueue(Script(reasoning="hm", text="so", tools=tools, answer_as="stream"))
    async with gateway.ask() as reply:
        whole = await reply.json()
    message = whole["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("so", "hm")
    assert message["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"巴黎"}'}
    assert whole["usage"]["total_tokens"] > 0


def _without_names(reply: dict[str, object]) -> dict[str, object]:
    return {**reply, "id": "", "created": 0}
