"""A person with only a Kimi web account gets the same service, in whichever language the site speaks."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from harness import Gateway, Serve, events, until
from moongate.simulator import Simulator
from moongate.simulator.web import SearchResult, WebScript

GENERATIONS = pytest.mark.parametrize("generation", ["connect", "rest"])
PAGES = (SearchResult("Forecast", "https://example.org/a"), SearchResult("News", "https://example.org/b"))


@pytest.fixture(params=["connect", "rest"])
def generation(request: pytest.FixtureRequest, sim: Simulator) -> str:
    sim.web.knobs.generations = request.param
    return str(request.param)


def environ(sim: Simulator, *users: str, **more: str) -> dict[str, str]:
    tokens = ",".join(sim.web.user(user).refresh_token for user in users or ("ada",))
    return {"KIMI_TOKENS": tokens, "KIMI_WEB_BASE_URL": sim.url, "KIMI_WEB_AUTH_URL": sim.url, **more}


@pytest.fixture
def gate(sim: Simulator, serve: Serve) -> AbstractAsyncContextManager[Gateway]:
    return serve(environ(sim))


async def whole(gateway: Gateway, content: object = "hello", model: str = "k2", **fields: object) -> dict[str, object]:
    async with gateway.ask(content, model=model, **fields) as reply:  # type: ignore[arg-type]
        assert reply.status == 200, await reply.text()
        return dict(await reply.json())


def message(reply: Mapping[str, object]) -> dict[str, object]:
    return dict(reply["choices"][0]["message"])  # type: ignore[index]


async def test_it_answers_whole(gate: AbstractAsyncContextManager[Gateway], sim: Simulator, generation: str) -> None:
    async with gate as gateway:
        sim.web.enqueue(WebScript(text="Hi there, 你好."))
        reply = await whole(gateway)
        assert message(reply) == {"role": "assistant", "content": "Hi there, 你好."}
        assert reply["usage"]["completion_tokens"] > 0  # type: ignore[index]
        (turn,) = sim.web.log
        assert (turn.generation, turn.prompt, turn.context) == (generation, "hello", (("user", "hello"),))
        assert turn.search


async def test_it_answers_as_a_stream(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, generation: str
) -> None:
    async with gate as gateway:
        sim.web.enqueue(WebScript(thinking="Let me see.", text="Hi there, 你好.", split=7, piece=2))
        async with gateway.ask(model="k2-thinking", stream=True) as reply:
            assert reply.headers["x-moongate-route"] == "kimi-web/k2-thinking"
            assert "usage is an estimate" in reply.headers["x-moongate-notes"]
            told = events(await reply.read())
        assert told[-1] == "[DONE]"
        deltas = [event["choices"][0]["delta"] for event in told[:-1]]  # type: ignore[index]
        assert "".join(delta.get("content", "") for delta in deltas) == "Hi there, 你好."
        assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Let me see."
        assert sum("content" in delta for delta in deltas) > 3


@pytest.mark.parametrize(
    ("model", "fields", "thinks", "searches"),
    [
        ("k2", {}, False, True),
        ("k1.5", {}, False, True),
        ("kimi", {}, False, True),
        ("k2-thinking", {}, True, True),
        ("kimi-nosearch", {}, False, False),
        ("k2-thinking-nosearch", {}, True, False),
        ("k2", {"thinking": {"type": "enabled"}}, True, True),
        ("k2-thinking", {"thinking": {"type": "disabled"}}, False, True),
        ("k2", {"reasoning_effort": "high"}, True, True),
    ],
)
async def test_a_name_says_whether_it_thinks_and_searches(
    gate: AbstractAsyncContextManager[Gateway],
    sim: Simulator,
    model: str,
    fields: dict[str, object],
    thinks: bool,
    searches: bool,
) -> None:
    async with gate as gateway:
        await whole(gateway, model=model, **fields)
        assert (sim.web.log[0].thinking, sim.web.log[0].search) == (thinks, searches)


async def test_the_list_names_what_there_is(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, generation: str
) -> None:
    async with gate as gateway, gateway.http.get(f"{gateway.url}/v1/models") as reply:
        names = {model["id"] for model in (await reply.json())["data"]}
        assert {"k2", "k1.5", "kimi", "k2-nosearch", "k2-thinking"} <= names
        assert ("k2d6-chat" in names) == (generation == "connect")


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_found_is_cited(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, generation: str, stream: bool
) -> None:
    async with gate as gateway:
        sim.web.enqueue(WebScript(text="Sunny[[1]], they say[[2]].", search=PAGES, piece=3))
        if stream:
            async with gateway.ask(model="k2", stream=True) as reply:
                told = events(await reply.read())
            deltas = [event["choices"][0]["delta"] for event in told[:-1]]  # type: ignore[index]
            content = "".join(delta.get("content", "") for delta in deltas)
            cited = [note for delta in deltas for note in delta.get("annotations", ())]
        else:
            said = message(await whole(gateway))
            content, cited = str(said["content"]), said["annotations"]  # type: ignore[assignment]
        assert content == "Sunny[1], they say[2]."
        assert [note["url_citation"]["url"] for note in cited] == ["https://example.org/a", "https://example.org/b"]
        first = cited[0]["url_citation"]
        assert content[first["start_index"] : first["end_index"]] == "[1]"


async def test_marks_may_be_left_out(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim, KIMI_WEB_CITATIONS="none")) as gateway:
        sim.web.enqueue(WebScript(text="Sunny[[1]].", search=PAGES))
        said = message(await whole(gateway))
        assert said["content"] == "Sunny."
        assert len(said["annotations"]) == 1  # type: ignore[arg-type]


async def test_a_chat_nobody_will_continue_is_deleted(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, generation: str
) -> None:
    async with gate as gateway:
        await whole(gateway)
        await until(lambda: sim.web.chat(sim.web.log[0].chat).is_deleted)


@GENERATIONS
async def test_the_history_of_a_plain_request_is_told_as_one_message(
    sim: Simulator, serve: Serve, generation: str
) -> None:
    sim.web.knobs.generations = generation
    async with serve(environ(sim)) as gateway:
        said = [("system", "Be brief."), ("user", "one"), ("assistant", "first"), ("user", "two")]
        messages = [{"role": role, "content": text} for role, text in said]
        async with gateway.ask(model="k2", messages=messages) as reply:
            assert "4 messages told as one" in reply.headers["x-moongate-notes"]
        (turn,) = sim.web.log
        assert len(turn.context) == 1
        assert all(text in turn.prompt for _, text in said)


async def test_a_conversation_stays_in_its_chat_and_sends_only_what_is_new(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, generation: str
) -> None:
    async with gate as gateway:
        for number in range(4):
            sim.web.enqueue(WebScript(text=f"answer {number}"))
            await in_conversation(gateway, f"question {number}")
        assert [turn.prompt for turn in sim.web.log] == [f"question {number}" for number in range(4)]
        assert len({turn.chat for turn in sim.web.log}) == 1
        assert [len(turn.context) for turn in sim.web.log] == [1, 3, 5, 7]


async def in_conversation(gateway: Gateway, text: str, id: str = "trip", **fields: object) -> dict[str, object]:
    body = {"model": "k2", "messages": [{"role": "user", "content": text}], **fields}
    async with gateway.http.post(f"{gateway.chat_url}/{id}", json=body) as reply:
        assert reply.status == 200, await reply.text()
        return {} if fields.get("stream") else dict(await reply.json())


async def test_an_answer_nobody_waited_for_is_stopped_and_the_next_goes_on_before_it(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, generation: str
) -> None:
    async with gate as gateway:
        sim.web.enqueue(WebScript(text="answer one"))
        await in_conversation(gateway, "question one")
        sim.web.enqueue(WebScript(text="this one is long " * 30, pause=0.05))
        body = {"model": "k2", "stream": True, "messages": [{"role": "user", "content": "never mind"}]}
        async with gateway.http.post(f"{gateway.chat_url}/trip", json=body) as reply:
            await reply.content.readany()
        await until(lambda: not gateway.running.errands and sim.web.log[1].state != "generating", 8)
        if generation == "connect":
            assert sim.web.log[1].state == "cancelled"
        sim.web.enqueue(WebScript(text="answer two"))
        await in_conversation(gateway, "question two")
        last = sim.web.log[-1]
        if generation == "connect":
            assert last.context == (("user", "question one"), ("assistant", "answer one"), ("user", "question two"))
        else:  # this one has no branches: all is told anew, in another chat
            assert last.chat != sim.web.log[0].chat
            assert all(text in last.prompt for text in ("question one", "answer one", "question two"))
            assert "never mind" not in last.prompt
            await until(lambda: sim.web.chat(sim.web.log[0].chat).is_deleted)


async def test_a_chat_that_was_deleted_in_the_browser_is_begun_anew(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, generation: str
) -> None:
    async with gate as gateway:
        sim.web.enqueue(WebScript(text="answer one"))
        await in_conversation(gateway, "question one")
        sim.web.chat(sim.web.log[0].chat).is_deleted = True
        await in_conversation(gateway, "question two")
        last = sim.web.log[-1]
        assert last.chat != sim.web.log[0].chat
        assert all(text in last.prompt for text in ("question one", "answer one", "question two"))
        await in_conversation(gateway, "question three")
        assert (sim.web.log[-1].chat, sim.web.log[-1].prompt) == (last.chat, "question three")


async def test_a_conversation_that_is_deleted_here_is_deleted_there(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, generation: str
) -> None:
    async with gate as gateway:
        await in_conversation(gateway, "hello")
        async with gateway.http.delete(f"{gateway.url}/v1/conversations/trip") as reply:
            assert reply.status == 200
        await until(lambda: sim.web.chat(sim.web.log[0].chat).is_deleted)


async def test_a_conversation_that_moves_leaves_no_chat_behind(sim: Simulator, serve: Serve, generation: str) -> None:
    async with serve(environ(sim, "ada", "bob")) as gateway:
        await in_conversation(gateway, "question one")
        (first,) = sim.web.log
        sim.web.always(WebScript(refuse="overloaded_for_free_user", refuse_when="trailer mid-text"), first.user)
        await in_conversation(gateway, "question two")
        last = sim.web.log[-1]
        assert last.user != first.user
        assert "question one" in last.prompt
        await until(lambda: all(chat.is_deleted for chat in sim.web.chats.all.values() if chat.id != last.chat))


@pytest.mark.parametrize("stream", [False, True])
async def test_what_was_begun_for_nothing_is_deleted(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, generation: str, stream: bool
) -> None:
    async with gate as gateway:
        sim.web.always(WebScript(refuse="invalid_argument", refuse_when="http"))
        async with gateway.ask(model="k2", stream=stream) as reply:
            assert reply.status != 200
        await until(lambda: all(chat.is_deleted for chat in sim.web.chats.all.values()))


REFUSALS = [
    ("http", "unauthenticated", 502, "credential_refused"),
    ("trailer before text", "overloaded_for_free_user", 503, "overloaded"),
    ("trailer mid-text", "overloaded_for_free_user", 503, "overloaded"),
    ("trailer after done", "overloaded_for_free_user", 503, "overloaded"),
    ("exception mid-text", "overloaded_for_free_user", 503, "overloaded"),
    ("trailer before text", "invalid_argument", 400, None),
]


@pytest.mark.parametrize(("when", "row", "status", "code"), REFUSALS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_is_told_wherever_it_comes_and_never_as_an_answer(
    sim: Simulator, serve: Serve, when: str, row: str, status: int, code: str | None, stream: bool
) -> None:
    async with serve(environ(sim, MAX_RETRIES="0")) as gateway:
        sim.web.always(WebScript(text="partial answer", refuse=row, refuse_when=when))  # type: ignore[arg-type]
        async with gateway.ask(model="k2", stream=stream) as reply:
            if stream and reply.status == 200:
                told = events(await reply.read())
                assert told[-1] != "[DONE]"
                error = told[-1]["error"]  # type: ignore[index]
            else:
                assert reply.status == status
                error = (await reply.json())["error"]
            assert error["code"] == code


async def test_words_of_errors_in_what_is_said_are_words(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, generation: str
) -> None:
    words = 'unauthenticated {"error":{"code":"resource_exhausted"}} REASON_INVALID_AUTH_TOKEN event: error'
    async with gate as gateway:
        sim.web.enqueue(WebScript(text=f"You said: {words}", thinking=words, only_if_asked=False))
        said = message(await whole(gateway, words))
        assert (said["content"], said["reasoning_content"]) == (f"You said: {words}", words)


async def test_the_other_account_answers_where_one_is_refused(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim, "ada", "bob")) as gateway:
        sim.web.always(WebScript(refuse="overloaded_for_free_user", refuse_when="trailer before text"), "ada")
        for _ in range(3):
            await whole(gateway)
        assert {turn.user for turn in sim.web.log if turn.state == "completed"} == {"bob"}


async def test_each_account_is_asked_one_thing_at_a_time(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim, "ada", "bob")) as gateway:
        sim.web.always(WebScript(text="slow", pause=0.02))
        await asyncio.gather(*(whole(gateway) for _ in range(6)))
        assert len(sim.web.log) == 6
        assert {state.limits.max_concurrency for state in gateway.running.pool.states} == {1}


# Tokens.


async def test_a_refresh_token_is_only_the_seed_and_its_successors_outlive_a_restart(
    sim: Simulator, serve: Serve, tmp_path: Path
) -> None:
    given = environ(sim)
    for _ in range(3):
        async with serve(given) as gateway:
            await whole(gateway)
        sim.web.user("ada").revoke_access()
    user = sim.web.user("ada")
    assert (user.refreshes, user.reuses) == (3, [])
    kept = list((tmp_path / ".moongate" / "tokens").glob("*.json"))
    assert len(kept) == 1
    assert kept[0].stat().st_mode & 0o777 == 0o600


async def test_a_token_that_was_refused_is_renewed_once_for_all(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim)) as gateway:
        await whole(gateway)
        sim.web.user("ada").revoke_access()
        await asyncio.gather(*(whole(gateway) for _ in range(5)))
        assert sim.web.user("ada").refreshes == 2


async def test_the_older_place_renews_where_the_newer_is_away(sim: Simulator, serve: Serve) -> None:
    sim.web.knobs.current_refresh = "away"
    async with serve(environ(sim)) as gateway:
        await whole(gateway)


async def test_a_login_that_has_ended_says_what_to_do(sim: Simulator, serve: Serve) -> None:
    given = environ(sim)
    sim.web.user("ada").end_login()
    async with serve(given) as gateway, gateway.ask(model="k2") as reply:
        told = await reply.json()
        assert (reply.status, told["error"]["code"]) == (502, "login_expired")
        assert "copy a new refresh token from" in told["error"]["message"]


async def test_an_access_token_serves_as_long_as_it_lives(sim: Simulator, serve: Serve) -> None:
    given = {**environ(sim), "KIMI_TOKENS": f"Bearer {sim.web.user('ada').access_token}"}
    async with serve(given) as gateway:
        await whole(gateway)
        sim.web.user("ada").revoke_access()
        async with gateway.ask(model="k2") as reply:
            assert (reply.status, (await reply.json())["error"]["code"]) == (502, "credential_refused")
        assert sim.web.user("ada").refreshes == 0


@pytest.mark.parametrize("kind", ["refresh", "access"])
async def test_callers_may_bring_tokens_of_their_own(sim: Simulator, serve: Serve, kind: str) -> None:
    user = sim.web.user("eve")
    token = user.refresh_token if kind == "refresh" else user.access_token
    given = {**environ(sim), "DEFAULT_AUTHKEYS": "sk-example-key"}
    async with serve(given) as gateway:
        for _ in range(2):
            async with gateway.ask(model="k2", headers={"authorization": f"Bearer {token}"}) as reply:
                assert reply.status == 200, await reply.text()
        assert {turn.user for turn in sim.web.log} == {"eve"}
        assert user.reuses == []
    headers = {"authorization": f"Bearer {token}"}
    async with serve(given) as again, again.ask(model="k2", headers=headers) as reply:
        assert reply.status == 200
        assert user.reuses == []


async def test_what_a_callers_account_was_left_with_is_deleted_with_the_conversation(
    sim: Simulator, serve: Serve
) -> None:
    headers = {"authorization": f"Bearer {sim.web.user('eve').refresh_token}"}
    async with serve({**environ(sim), "DEFAULT_AUTHKEYS": "sk-example-key"}) as gateway:
        body = {"model": "k2", "messages": [{"role": "user", "content": "hello"}]}
        async with gateway.http.post(f"{gateway.chat_url}/trip", json=body, headers=headers) as reply:
            assert reply.status == 200
        async with gateway.http.delete(f"{gateway.url}/v1/conversations/trip", headers=headers) as reply:
            assert reply.status == 200
        await until(lambda: sim.web.chat(sim.web.log[0].chat).is_deleted)


async def test_no_token_is_told_to_anybody(sim: Simulator, serve: Serve) -> None:
    given = environ(sim)
    async with serve(given) as gateway:
        for fault in ("unauthenticated", "permission_denied"):
            sim.web.enqueue(WebScript(refuse=fault, refuse_when="http"))
            async with gateway.ask(model="k2") as reply:
                shown = await reply.text() + str(dict(reply.headers)) + json.dumps(gateway.log, default=str)
            user = sim.web.user("ada")
            for token in (given["KIMI_TOKENS"], user.refresh_token, user.access_token):
                assert token not in shown
                assert token.split(".")[1] not in shown


# What is made up for.


PICTURE = "data:image/png;base64,aGVsbG8gcGljdHVyZQ=="


async def test_a_picture_is_uploaded_and_referred_to(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, generation: str
) -> None:
    async with gate as gateway:
        text = {"type": "text", "text": "What is this?"}
        await whole(gateway, [text, {"type": "image_url", "image_url": {"url": PICTURE}}])
        (turn,) = sim.web.log
        assert turn.prompt == "What is this?"
        assert [file.size for file in turn.files] == [len(b"hello picture")]


async def test_a_picture_somewhere_else_is_refused_by_name(gate: AbstractAsyncContextManager[Gateway]) -> None:
    async with gate as gateway:
        part = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
        async with gateway.ask([part], model="k2") as reply:  # type: ignore[arg-type]
            told = await reply.json()
            assert (reply.status, told["error"]["param"]) == (400, "messages[0].content")


async def test_a_document_is_uploaded_and_waited_for(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, generation: str
) -> None:
    async with gate as gateway:
        file = {"filename": "report.pdf", "file_data": "data:application/pdf;base64,aGVsbG8gcmVwb3J0"}
        await whole(gateway, [{"type": "text", "text": "Sum it up."}, {"type": "file", "file": file}])
        (seen,) = sim.web.log[0].files
        assert (seen.name, seen.size) == ("report.pdf", len(b"hello report"))


async def test_the_operator_may_say_which_language_is_spoken(sim: Simulator, serve: Serve) -> None:
    for dialect in ("rest", "connect"):
        async with serve(environ(sim, KIMI_WEB_DIALECT=dialect)) as gateway:
            await whole(gateway)
        assert sim.web.log[-1].generation == dialect


TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_are_told_in_words_and_called_in_earnest(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, stream: bool
) -> None:
    async with gate as gateway:
        async with gateway.ask("Look up!", model="k2", tools=TOOLS) as reply:
            assert "1 tool was described in words" in reply.headers["x-moongate-notes"]
        prompt = sim.web.log[0].prompt
        mark = prompt.partition("<call-")[2].partition(">")[0]
        call = f'<call-{mark}>{{"name": "look", "arguments": {{"at": "sky"}}}}</call-{mark}>'
        sim.web.enqueue(WebScript(text=f"I look.\n{call}", piece=3))
        async with gateway.ask("Look up!", model="k2", tools=TOOLS, stream=stream) as reply:
            data = await reply.read()
        if stream:
            deltas = [event["choices"][0] for event in events(data)[:-1]]  # type: ignore[index]
            calls = [call for choice in deltas for call in choice["delta"].get("tool_calls", ())]
            assert (calls[0]["function"]["name"], deltas[-1]["finish_reason"]) == ("look", "tool_calls")
            arguments = "".join(call["function"].get("arguments", "") for call in calls)
        else:
            choice = json.loads(data)["choices"][0]
            assert choice["finish_reason"] == "tool_calls"
            arguments = choice["message"]["tool_calls"][0]["function"]["arguments"]
        assert json.loads(arguments) == {"at": "sky"}


async def test_json_that_is_none_is_asked_for_again(gate: AbstractAsyncContextManager[Gateway], sim: Simulator) -> None:
    async with gate as gateway:
        sim.web.enqueue(WebScript(text="Sure! Here it comes"))
        sim.web.enqueue(WebScript(text='```json\n{"sky": "blue"}\n```'))
        said = message(await whole(gateway, response_format={"type": "json_object"}))
        assert json.loads(str(said["content"])) == {"sky": "blue"}
        assert len(sim.web.log) == 2


@pytest.mark.parametrize("field", [{"n": 2}, {"logprobs": True}])
async def test_what_cannot_be_made_up_for_is_refused_by_name(
    gate: AbstractAsyncContextManager[Gateway], sim: Simulator, field: dict[str, object]
) -> None:
    async with gate as gateway, gateway.ask(model="k2", **field) as reply:
        assert (reply.status, (await reply.json())["error"]["param"]) == (400, next(iter(field)))
        assert sim.web.log == []
