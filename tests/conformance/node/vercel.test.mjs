// Vercel's AI SDK with its provider for OpenAI-compatible servers.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { PIXEL, POEM, bareGateway, ended, gateway, scripted, seen } from "./stand.mjs";

const providerOf = ({ url, key }, path = "/v1", settings = {}) =>
  createOpenAICompatible({ name: "moongate", baseURL: url + path, apiKey: key, includeUsage: true, ...settings });
const model = providerOf(gateway)("kimi-k3");
const ownModel = () => providerOf(bareGateway())("kimi-k3");
const asked = { model, maxRetries: 0 };
const BREAKS = {
  "is cut off": { cut_after: 6 },
  "ends too soon": { close_after: 6 },
  "is told to be in error": { error_after: 6 },
  "falls silent": { stall_after: 6 },
};

const getWeather = tool({
  description: "The weather of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }) => `${city}: 晴，21°C`,
});

/** The parts of a stream. The SDK tells errors in them, and to a log that would be noise here. */
async function parts(settings) {
  const found = [];
  for await (const part of streamText({ ...asked, onError() {}, ...settings }).fullStream) found.push(part);
  return found;
}

const textOf = (found) => found.map((part) => (part.type === "text-delta" ? part.text : "")).join("");

test("a whole answer, with reasoning and usage", async () => {
  const prompt = scripted("Hello", { reasoning: "Let me recite.", text: POEM });
  const result = await generateText({ ...asked, prompt });
  assert.equal(result.text, POEM);
  assert.equal(result.reasoningText, "Let me recite.");
  assert.equal(result.finishReason, "stop");
  assert.equal(result.usage.totalTokens, result.usage.inputTokens + result.usage.outputTokens);
  assert.ok(result.usage.outputTokenDetails.reasoningTokens > 0);
  assert.equal(result.response.headers["x-moongate-route"], "moonshot/kimi-k3");
});

test("a streamed answer, with reasoning and usage", async () => {
  const prompt = scripted("Hello", { reasoning: "Let me recite.", text: POEM, piece: 2, split: 5, comments: true, crlf: true });
  const found = await parts({ prompt });
  assert.equal(textOf(found), POEM);
  const reasoning = found.map((part) => (part.type === "reasoning-delta" ? part.text : "")).join("");
  assert.equal(reasoning, "Let me recite.");
  const finish = found.at(-1);
  assert.deepEqual([finish.type, finish.finishReason], ["finish", "stop"]);
  assert.ok(finish.totalUsage.totalTokens > 0);
});

test("a tool is called and answered, whole", async () => {
  const question = "The weather, whole?";
  const prompt = scripted(question, { reasoning: "A tool.", tools: [["getWeather", '{"city": "北京"}']] });
  const result = await generateText({ ...asked, prompt, tools: { getWeather }, stopWhen: stepCountIs(3) });
  assert.deepEqual(
    result.steps.map((step) => step.finishReason),
    ["tool-calls", "stop"],
  );
  assert.deepEqual(result.steps[0].toolResults[0].output, "北京: 晴，21°C");
  assert.match(result.text, /simulated/);
  const [, assistant, answer] = (await seen(question)).at(-1).json.messages;
  assert.equal(assistant.reasoning_content, "A tool.");
  assert.equal(answer.tool_call_id, assistant.tool_calls[0].id);
});

test("tools in parallel are called and answered, streamed", async () => {
  const calls = ["北京", "Paris"].map((city) => ["getWeather", JSON.stringify({ city })]);
  const prompt = scripted("The weather, streamed?", { text: "Let me see.", tools: calls, piece: 3 });
  const found = await parts({ prompt, tools: { getWeather }, stopWhen: stepCountIs(3) });
  const results = found.filter((part) => part.type === "tool-result").map((part) => part.output);
  assert.deepEqual(results.sort(), ["Paris: 晴，21°C", "北京: 晴，21°C"]);
  assert.match(textOf(found), /^Let me see\..*simulated/);
  assert.equal(found.at(-1).finishReason, "stop");
});

test("a stream with tools is one although the upstream answered whole", async () => {
  const calls = ["北京", "Paris"].map((city) => ["getWeather", JSON.stringify({ city })]);
  const script = { answer_as: "whole", reasoning: "Tools.", text: POEM, tools: calls };
  const found = await parts({ prompt: scripted("The weather, at once?", script), tools: { getWeather } });
  assert.equal(textOf(found), POEM);
  const inputs = found.filter((part) => part.type === "tool-call").map((part) => part.input.city);
  assert.deepEqual(inputs, ["北京", "Paris"]);
  assert.equal(found.at(-1).finishReason, "tool-calls");
  assert.ok(found.at(-1).totalUsage.totalTokens > 0);
});

test("a tool that is demanded is called", async () => {
  for (const toolChoice of ["required", { type: "tool", toolName: "getWeather" }]) {
    const result = await generateText({ ...asked, prompt: "Hello", tools: { getWeather }, toolChoice });
    assert.equal(result.toolCalls[0].toolName, "getWeather");
  }
});

test("output by a schema is an object", async () => {
  const structured = providerOf(gateway, "/v1", { supportsStructuredOutputs: true })("kimi-k3");
  const output = Output.object({ schema: z.object({ city: z.string(), degrees: z.number() }) });
  const result = await generateText({ ...asked, model: structured, prompt: "The weather?", output });
  assert.equal(typeof result.output.degrees, "number");
});

test("an image is seen", async () => {
  const content = [
    { type: "text", text: "What is it?" },
    { type: "image", image: PIXEL },
  ];
  const result = await generateText({ ...asked, messages: [{ role: "user", content }] });
  assert.match(result.text, /1 image received/);
});

test("the temperature that agents set is adapted and said", async () => {
  const result = await generateText({ ...asked, prompt: "Hello", temperature: 0 });
  assert.match(result.response.headers["x-moongate-notes"], /temperature left out/);
});

test("the thinking model for coding thinks, under the base URL of Kimi Code", async () => {
  const coding = providerOf(gateway, "/coding/v1")("kimi-for-coding-thinking");
  const result = await generateText({ ...asked, model: coding, prompt: "Hello" });
  assert.ok(result.reasoningText);
  assert.equal(result.response.headers["x-moongate-route"], "kimi-code/kimi-for-coding");
});

test("two requests at once are both answered", async () => {
  const texts = ["One", "Two"];
  const ask = (text) => generateText({ ...asked, prompt: scripted("Hello", { text, silent_before_headers: 0.2 }) });
  const results = await Promise.all(texts.map(ask));
  assert.deepEqual(
    results.map((result) => result.text),
    texts,
  );
});

test("a wrong key, an unknown model and a rate limit are APICallErrors with their status", async () => {
  const wrong = providerOf({ url: gateway.url, key: "sk-example-of-somebody-else" })("kimi-k3");
  const unknown = providerOf(gateway)("gpt-of-tomorrow");
  const limited = scripted("Hello", { refuse: "rate_limit_rpm" });
  const attempts = [
    [{ model: wrong, prompt: "Hello" }, 401, false],
    [{ model: unknown, prompt: "Hello" }, 404, false],
    [{ model: ownModel(), prompt: limited }, 429, true],
  ];
  for (const [settings, status, retryable] of attempts) {
    await assert.rejects(generateText({ ...asked, ...settings }), (error) => {
      assert.ok(APICallError.isInstance(error));
      assert.deepEqual([error.statusCode, error.isRetryable], [status, retryable]);
      assert.equal(error.message, error.data.error.message);
      return true;
    });
  }
});

for (const [name, script] of Object.entries(BREAKS)) {
  test(`a stream that ${name} tells its error and does not finish well`, async () => {
    const prompt = scripted("Hello", { text: POEM.repeat(3), ...script });
    const found = await parts({ model: ownModel(), prompt });
    assert.ok(textOf(found));
    assert.ok(found.some((part) => part.type === "error"));
    assert.ok(found.every((part) => part.type !== "finish" || part.finishReason === "error"));
  });
}

test("an aborted stream lets go of the upstream", async () => {
  const question = "Abort me, vercel";
  const abort = new AbortController();
  const prompt = scripted(question, { text: POEM, stall_after: 4 });
  const found = [];
  for await (const part of streamText({ ...asked, prompt, abortSignal: abort.signal }).fullStream) {
    found.push(part.type);
    if (part.type === "text-delta") abort.abort();
  }
  assert.ok(found.includes("abort"));
  assert.equal(await ended(question), "hung_up");
});
