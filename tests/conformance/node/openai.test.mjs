// OpenAI's own SDK for JavaScript: what works with OpenAI works here.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { PIXEL, POEM, bareGateway, ended, gateway, scripted, seen } from "./stand.mjs";

const clientOf = ({ url, key }, path = "/v1") =>
  new OpenAI({ baseURL: url + path, apiKey: key, maxRetries: 0, timeout: 20_000 });
const client = clientOf(gateway);
const model = "kimi-k3";
const user = (content) => [{ role: "user", content }];
const BREAKS = {
  "is cut off": { cut_after: 6 },
  "ends too soon": { close_after: 6 },
  "is told to be in error": { error_after: 6 },
  "falls silent": { stall_after: 6 },
};

const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");

test("a whole answer", async () => {
  const completion = await client.chat.completions.create({ model, messages: user("Hello, 你好") });
  const [choice] = completion.choices;
  assert.match(choice.message.content, /Hello, 你好/);
  assert.equal(choice.message.role, "assistant");
  assert.ok(choice.message.reasoning_content);
  assert.equal(choice.finish_reason, "stop");
  assert.equal(completion.model, model);
  assert.ok(completion.usage.total_tokens > 0);
  assert.ok(completion._request_id);
});

test("a streamed answer, whose first delta has the role", async () => {
  const messages = user(scripted("Hello", { reasoning: "Let me recite.", text: POEM }));
  const chunks = await all(await client.chat.completions.create({ model, messages, stream: true }));
  assert.equal(textOf(chunks), POEM);
  assert.equal(chunks[0].choices[0].delta.role, "assistant");
  assert.equal(chunks.map((chunk) => chunk.choices[0].delta.reasoning_content ?? "").join(""), "Let me recite.");
  assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
  assert.ok(chunks.every((chunk) => !chunk.usage));
});

test("usage at the end of a stream that asks for it", async () => {
  const messages = user(scripted("Hello", { text: POEM, piece: 1, split: 7, comments: true }));
  const stream_options = { include_usage: true };
  const chunks = await all(await client.chat.completions.create({ model, messages, stream: true, stream_options }));
  assert.equal(textOf(chunks), POEM);
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.ok(chunks.at(-1).usage.total_tokens > 0);
});

test("the stream helper accumulates a completion", async () => {
  const stream = client.chat.completions.stream({ model, messages: user(scripted("Hello", { text: POEM })) });
  let told = "";
  stream.on("content", (delta) => (told += delta));
  const completion = await stream.finalChatCompletion();
  assert.equal(told, POEM);
  assert.equal(completion.choices[0].message.content, POEM);
});

test("a tool is called and answered, whole", async () => {
  const question = "The weather, whole?";
  const messages = user(scripted(question, { tools: [["get_weather", '{"city": "北京"}']] }));
  const first = await client.chat.completions.create({ model, messages, tools: [WEATHER] });
  const [{ message, finish_reason }] = first.choices;
  assert.equal(finish_reason, "tool_calls");
  const [call] = message.tool_calls;
  assert.deepEqual([call.type, call.function.name], ["function", "get_weather"]);
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "北京" });

  messages.push(message, { role: "tool", tool_call_id: call.id, content: "晴，21°C" });
  const second = await client.chat.completions.create({ model, messages, tools: [WEATHER] });
  assert.equal(second.choices[0].finish_reason, "stop");
  const asked = (await seen(question)).at(-1).json.messages;
  assert.deepEqual(asked[2], { role: "tool", tool_call_id: call.id, content: "晴，21°C" });
});

test("runTools goes round by itself, streamed, with tools in parallel", async () => {
  const cities = [];
  const tool = {
    type: "function",
    function: {
      ...WEATHER.function,
      parse: JSON.parse,
      function: ({ city }) => {
        cities.push(city);
        return `${city}: 晴，21°C`;
      },
    },
  };
  const calls = ["北京", "Paris"].map((city) => ["get_weather", JSON.stringify({ city })]);
  const messages = user(scripted("The weather, streamed?", { text: "Let me see.", tools: calls, piece: 3 }));
  const runner = client.chat.completions.runTools({ model, messages, tools: [tool], stream: true });
  const answer = await runner.finalContent();
  assert.deepEqual(cities, ["北京", "Paris"]);
  assert.match(answer, /simulated/);
  assert.deepEqual(
    runner.messages.map((message) => message.role),
    ["user", "assistant", "tool", "tool", "assistant"],
  );
});

test("arguments and answers by a schema are parsed", async () => {
  const Weather = z.object({ city: z.string(), degrees: z.number() });
  const called = await client.chat.completions.parse({
    model,
    messages: user(scripted("The weather?", { tools: [["weather", '{"city": "北京", "degrees": 21}']] })),
    tools: [zodFunction({ name: "weather", parameters: Weather })],
  });
  const [call] = called.choices[0].message.tool_calls;
  assert.deepEqual(call.function.parsed_arguments, { city: "北京", degrees: 21 });
  const response_format = zodResponseFormat(Weather, "weather");
  const answered = await client.chat.completions.parse({ model, messages: user("The weather?"), response_format });
  assert.equal(typeof answered.choices[0].message.parsed.degrees, "number");
});

test("an image is seen", async () => {
  const content = [
    { type: "text", text: "What is it?" },
    { type: "image_url", image_url: { url: PIXEL } },
  ];
  const completion = await client.chat.completions.create({ model, messages: user(content) });
  assert.match(completion.choices[0].message.content, /1 image received/);
});

test("models are listed and described", async () => {
  const names = (await all(await client.models.list())).map((each) => each.id);
  assert.ok(names.includes(model));
  assert.ok(names.includes("kimi-for-coding-thinking"));
  assert.equal((await client.models.retrieve("moonshot/kimi-k3")).id, "moonshot/kimi-k3");
});

test("a base URL made for Kimi Code is swapped unchanged, and the thinking model thinks", async () => {
  const { data, response } = await clientOf(gateway, "/coding/v1")
    .chat.completions.create({ model: "kimi-for-coding-thinking", messages: user("Hello") })
    .withResponse();
  assert.ok(data.choices[0].message.reasoning_content);
  assert.equal(response.headers.get("x-moongate-route"), "kimi-code/kimi-for-coding");
});

test("what Kimi would refuse is adapted and said", async () => {
  const messages = [{ role: "developer", content: "Be brief" }, ...user("Hello")];
  const { response } = await client.chat.completions.create({ model, messages, temperature: 0 }).withResponse();
  assert.match(response.headers.get("x-moongate-notes"), /temperature left out.*developer sent as system/);
});

test("a wrong key is an AuthenticationError", async () => {
  const wrong = clientOf({ url: gateway.url, key: "sk-example-of-somebody-else" });
  await assert.rejects(wrong.chat.completions.create({ model, messages: user("Hello") }), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, "invalid_api_key");
    return true;
  });
});

test("an unknown model is a NotFoundError, a wrong field a BadRequestError", async () => {
  const unknown = client.chat.completions.create({ model: "kimi-k33", messages: user("Hello"), stream: true });
  await assert.rejects(unknown, (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found");
  const empty = client.chat.completions.create({ model, messages: [] });
  await assert.rejects(empty, (error) => error instanceof OpenAI.BadRequestError && error.param === "messages");
});

test("a rate limit is a RateLimitError that says when to come back", async () => {
  const messages = user(scripted("Hello", { refuse: "rate_limit_rpm" }));
  await assert.rejects(clientOf(bareGateway()).chat.completions.create({ model, messages }), (error) => {
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.equal(error.headers.get("retry-after"), "1");
    return true;
  });
});

for (const [name, script] of Object.entries(BREAKS)) {
  test(`a stream that ${name} throws after what was said`, async () => {
    const messages = user(scripted("Hello", { text: POEM.repeat(3), ...script }));
    const stream = await clientOf(bareGateway()).chat.completions.create({ model, messages, stream: true });
    let told = "";
    await assert.rejects(async () => {
      for await (const chunk of stream) told += chunk.choices[0].delta.content ?? "";
    }, OpenAI.APIError);
    assert.ok(told);
    assert.ok(POEM.repeat(3).startsWith(told));
  });
}

test("the stream helper throws on a broken stream too", async () => {
  const messages = user(scripted("Hello", { text: POEM, cut_after: 4 }));
  const stream = clientOf(bareGateway()).chat.completions.stream({ model, messages });
  await assert.rejects(stream.finalChatCompletion(), OpenAI.OpenAIError);
});

test("an aborted stream lets go of the upstream", async () => {
  const question = "Abort me, openai";
  const messages = user(scripted(question, { text: POEM, stall_after: 4 }));
  const stream = await client.chat.completions.create({ model, messages, stream: true });
  let told = "";
  for await (const chunk of stream) {
    told += chunk.choices[0].delta.content ?? "";
    if (told) stream.controller.abort();
  }
  assert.ok(told);
  assert.equal(await ended(question), "hung_up");
});

test("an aborted request lets go of the upstream", async () => {
  const question = "Abort me before I have begun, openai";
  const messages = user(scripted(question, { silent_before_headers: 30 }));
  const options = { signal: AbortSignal.timeout(300) };
  await assert.rejects(client.chat.completions.create({ model, messages }, options), OpenAI.APIUserAbortError);
  assert.equal(await ended(question), "hung_up");
});
