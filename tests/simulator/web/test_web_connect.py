"""What the newer generation of the simulated web site tells in one turn."""

import json

import pytest

from moongate.simulator.web import SearchResult, WebScript

from .conftest import CHAT

FOUND = (
    SearchResult(title="Forecast", url="https://example.org/a", snippet="sunny", date="2026-06-01T00:00:00Z"),
    SearchResult(title="Climate", url="https://example.org/b", site_name="Example"),
)


async def test_a_new_chat_is_told_in_the_captured_order(ada):
    got = await ada.ask("Hello", WebScript(text="Hi there.", thinking="Well", piece=4))
    assert got.headers["Content-Type"] == "application/connect+json"
    assert got.frames[0] == (0, {"heartbeat": {}})
    masks = [value.get("mask", "done" if "done" in value else "") for value in got.data]
    assert masks == [
        "chat.lastRequest",
        "message",
        "message",
        "block.think",
        "block.text",
        "block.text.content",
        "block.text.content",
        "chat.name",
        "message.status",
        "done",
    ]
    assert [value["eventOffset"] for value in got.data] == list(range(1, 11))
    assert (got.thinking, got.text) == ("Well", "Hi there.")
    assert got.frames[-1] == (2, {})
    assert any("heartbeat" in value for _, value in got.frames[6:])


async def test_the_user_is_repeated_whole_and_the_end_names_no_role(ada):
    got = await ada.ask("Hello\nthere", WebScript(text="Hi"))
    echo, answer = got.message("user"), got.message("assistant")
    assert echo["blocks"] == [{"messageId": "", "text": {"content": "Hello\nthere"}}]
    assert (echo["status"], echo["parentId"]) == ("MESSAGE_STATUS_COMPLETED", got.chat)
    assert (answer["status"], answer["parentId"]) == ("MESSAGE_STATUS_GENERATING", echo["id"])
    status = next(value["message"] for value in got.data if value.get("mask") == "message.status")
    assert status == {"id": answer["id"], "status": "MESSAGE_STATUS_COMPLETED"}


async def test_ids_look_like_uuids_of_version_8_and_rise(ada):
    got = await ada.ask()
    ids = [got.chat, got.message("user")["id"], got.answer]
    assert ids == sorted(ids)
    assert all(len(name) == 36 and name[14] == "8" for name in ids)


async def test_requests_may_be_written_in_camel_case(ada, sim):
    first = await ada.ask("one")
    body = ada.request("two")
    body["chatId"] = first.chat
    body["message"]["parentId"] = first.answer
    body["options"] = {"thinking": True, "reasoningEffort": "REASONING_EFFORT_LOW", "systemPrompt": "Be brief"}
    body["kimiplusId"] = "ok-computer"
    assert (await ada.framed(body)).trailer == {}
    seen = sim.web.log[-1]
    assert [role for role, _ in seen.context] == ["user", "assistant", "user"]
    assert (seen.thinking, seen.effort, seen.system_prompt) == (True, "REASONING_EFFORT_LOW", "Be brief")
    assert seen.kimiplus == "ok-computer"


async def test_the_other_name_of_the_service_works_too(ada):
    first = await ada.ask("one")
    service = "/apiv2/kimi.chat.v1.ChatService"
    assert (await ada.call("GetChat", {"chat_id": first.chat}, service)).json["chat"]["id"] == first.chat
    assert (await ada.call("Chat", service=service)).trailer["error"]["code"] == "invalid_argument"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"chat_id":""}', b"\x00\x00\x00\x00\x09{}", b"\x01\x00\x00\x00\x02{}"])
async def test_an_unframed_body_is_refused_in_a_trailer(ada, body):
    got = await ada.send("POST", f"{CHAT}/Chat", body, Content_Type="application/connect+json")
    assert got.status == 200
    assert got.headers["Content-Type"] == "application/connect+json"
    assert got.trailer["error"]["code"] == "invalid_argument"
    assert len(got.frames) == 1


async def test_a_framed_body_needs_its_media_type(ada):
    body = b"\x00" + len(payload := json.dumps(ada.request("Hi")).encode()).to_bytes(4) + payload
    assert (await ada.send("POST", f"{CHAT}/Chat", body)).status == 415


@pytest.mark.parametrize(
    "change",
    [
        {"message": None},
        {"message": {"role": "user"}},
        {"message": {"role": "user", "blocks": []}},
        {"message": {"role": "assistant", "blocks": [{"text": {"content": "x"}}]}},
        {"messages": [{"role": "user"}], "message": []},
        {"chat_id": ""},
        {"chat_id": "19ef0000-0000-8000-8000-000000000999"},
        {"options": {"model": "k3-agent", "reasoning_effort": "REASONING_EFFORT_NONE"}},
        {"message": {"role": "user", "blocks": [{"text": {"content": "x"}}, {"file": {"id": "unknown"}}]}},
    ],
)
async def test_what_cannot_be_meant_is_an_invalid_argument(ada, sim, change):
    got = await ada.framed({**ada.request("Hi"), **change})
    assert got.trailer["error"]["code"] == "invalid_argument"
    assert (got.data, sim.web.log, sim.web.chats.all) == ([], [], {})


async def test_an_empty_chat_id_can_mean_a_new_chat(ada, sim):
    sim.web.knobs.strict_chat_id = False
    assert (await ada.framed({**ada.request("Hi"), "chat_id": ""})).trailer == {}


@pytest.mark.parametrize(
    ("options", "thinks"),
    [
        ({"thinking": True}, True),
        ({"thinking": False}, False),
        ({}, False),
        ({"thinking": True, "reasoning_effort": "REASONING_EFFORT_NONE"}, False),
        ({"thinking": True, "reasoning_effort": "REASONING_EFFORT_LOW"}, True),
        ({"reasoning_effort": "REASONING_EFFORT_HIGH"}, True),
    ],
)
async def test_it_thinks_where_that_was_asked_for(ada, sim, options, thinks):
    got = await ada.ask(options=options)
    assert bool(got.thinking) == thinks
    assert sim.web.log[-1].thinking == thinks


async def test_a_script_says_what_was_not_asked_for_unless_it_does_not(ada, sim):
    script = WebScript(text="A [[1]]", thinking="Hm", search=FOUND)
    told = await ada.ask("Hi", script)
    assert (told.thinking, sim.web.log[-1].search) == ("Hm", False)
    assert "web_search" in told.text
    kept = await ada.ask("Hi", WebScript(text="A [[1]]", thinking="Hm", search=FOUND, only_if_asked=True))
    assert (kept.thinking, kept.text) == ("", "A ")
    offered = await ada.ask(
        "Hi",
        WebScript(text="A", search=FOUND, only_if_asked=True),
        tools=[{"type": "TOOL_TYPE_SEARCH", "search": {}}],
    )
    assert "web_search" in offered.text
    assert sim.web.log[-1].search


async def test_by_default_it_owns_up_and_counts_its_context(ada):
    first = await ada.ask("Good morning")
    assert "no model was asked" in first.text
    assert "1." in first.text
    assert "「Good morning」" in first.text
    second = await ada.ask("And now", chat=first.chat, parent=first.answer)
    assert "上文消息数: 3." in second.text


@pytest.mark.parametrize(
    "form",
    [
        {"replace": True},
        {"whole_text_first": True},
        {"empty_set_first": True},
        {"text_blocks": 3},
        {"thinking_form": "flags"},
        {"zero_frames": True},
        {"unknown_blocks": True},
        {"degrade": True},
        {"title_first": True},
        {"chat_form": "plain"},
        {"heartbeats": False},
        {"omit_status": True},
    ],
)
async def test_every_form_tells_the_same_text(ada, sim, form):
    got = await ada.ask("Hi", WebScript(text="Grüße, 你好 🌙, and more", piece=5, **form))
    assert got.text == "Grüße, 你好 🌙, and more"
    assert got.trailer == {}
    assert sim.web.log[-1].said == got.text
    assert sim.web.log[-1].state == "completed"


async def test_forms_look_as_they_were_seen(ada):
    replaced = await ada.ask("Hi", WebScript(text="abcdef", piece=3, replace=True))
    told = [value["block"]["text"]["content"] for value in replaced.data if value.get("mask") == "block.text"]
    assert told == ["abc", "abcdef"]
    empty = await ada.ask("Hi", WebScript(text="abcdef", piece=3, empty_set_first=True))
    first = next(value for value in empty.data if "block" in value)
    assert (first["op"], first["mask"], first["block"]["text"]) == ("set", "block.text.content", {})
    flagged = await ada.ask("Hi", WebScript(text="a", thinking="b", thinking_form="flags"))
    texts = [value["block"]["text"] for value in flagged.data if "text" in value.get("block", {})]
    assert texts == [{"content": "b", "flags": "thinking"}, {"content": "a", "flags": "answer"}]
    plain = await ada.ask("Hi", WebScript(chat_form="plain"))
    assert plain.data[0] == {"op": "set", "eventOffset": 1, "chat": {"id": plain.chat}}
    degraded = await ada.ask("Hi", WebScript(degrade=True))
    assert any(value.get("notification", {}).get("type") == "TYPE_MODEL_DEGRADE" for value in degraded.data)
    zero = await ada.ask("Hi", WebScript(zero_frames=True))
    assert zero.raw.startswith(b"\0\0\0\0\0\0")


@pytest.mark.parametrize(("form", "mark"), [(None, "tool"), ("web_pages", "search"), ("search_plus", "tool")])
async def test_a_search_has_the_form_that_the_script_wants(ada, form, mark):
    got = await ada.ask("Hi", WebScript(text="Sunny [[1]].", search=FOUND, search_form=form))
    assert any(mark in value.get("block", {}) for value in got.data)
    assert all(page.url in json.dumps(got.data) for page in FOUND)


async def test_a_search_by_tool_comes_in_fragments_and_is_repeated_as_references(ada):
    script = WebScript(text="Sunny [[1]].", search=FOUND, queries=("weather nanjing",))
    got = await ada.ask("Hi", script)
    tools = [value["block"]["tool"] for value in got.data if "tool" in value.get("block", {})]
    assert tools[0] == {"toolCallId": "web_search_0", "name": "web_search", "status": "STATUS_PENDING"}
    assert json.loads("".join(tool.get("args", "") for tool in tools)) == {"queries": ["weather nanjing"]}
    assert [item["searchResult"]["id"] for item in tools[-1]["contents"]] == ["1", "2"]
    refs = [value["message"]["refs"] for value in got.data if "refs" in value.get("message", {})]
    assert [chunk["refIndex"] for chunk in refs[0]["searchChunks"]] == ["web_search:1#0", "web_search:1#1"]
    assert [chunk["base"]["title"] for chunk in refs[1]["usedSearchChunks"]] == ["Forecast"]


async def test_references_have_the_form_of_histories(ada):
    got = await ada.ask("Hi", WebScript(text="Sunny [[2]].", search=FOUND, search_form="references"))
    told = next(value for value in got.data if value.get("mask") == "message.references")
    items = told["message"]["references"][0]["items"]
    assert [item["search"]["base"]["url"] for item in items] == [page.url for page in FOUND]
    assert not any("tool" in value.get("block", {}) for value in got.data)


@pytest.mark.parametrize(
    ("markers", "told"),
    [
        ("private_use", "A \ue3a0cite\ue3a3web_search:1#0\ue3a3web_search:1#1\ue3a8."),
        ("separators", "A \ue3a0article\U0001f6e0web_search:1#0\U0001f3a8web_search:1#1\ue3a8."),
        ("quote", "A \ue3a0cite\ue3a3web_search:1#0:~:text=sunny\ue3a3web_search:1#1:~:text=quote\ue3a8."),
        ("caret", "A [^1^][^2^]."),
        (
            "tagged",
            "A <REF>cite✦tools://web_search_0#0:~:text=sunny</REF><REF>cite✦tools://web_search_0#1:~:text=quote</REF>.",
        ),
        ("none", "A ."),
    ],
)
async def test_markers_have_the_style_that_the_script_wants(ada, markers, told):
    got = await ada.ask("Hi", WebScript(text="A [[1,2]].", search=FOUND, markers=markers, piece=1))
    assert got.text == told


async def test_markers_are_by_default_those_of_their_time(ada):
    script = WebScript(text="A [[1]]", search=FOUND)
    assert "\ue3a0" in (await ada.ask("Hi", script)).text
    assert (await ada.say("Hi", script)).joined("cmpl") == "A [^1^]"
    assert (await ada.ask("Hi", WebScript(text="A [[1]]", search=FOUND, search_form="web_pages"))).text == "A [^1^]"


async def test_a_text_without_places_is_marked_at_its_end(ada):
    got = await ada.ask("Hi", WebScript(text="Sunny", search=FOUND, markers="caret"))
    assert got.text == "Sunny [^1^][^2^]"
    bare = await ada.ask("Hi", WebScript(text="Sunny", search=FOUND, markers="none"))
    assert bare.text == "Sunny"


async def test_a_title_names_new_chats_only_unless_the_script_says_so(ada, sim):
    first = await ada.ask()
    assert sim.web.chat(first.chat).name == "Simulated chat"
    second = await ada.ask(chat=first.chat)
    assert not any(value.get("mask") == "chat.name" for value in second.data)
    await ada.ask("Hi", WebScript(title="Renamed"), chat=first.chat)
    assert sim.web.chat(first.chat).name == "Renamed"
    silent = await ada.ask("Hi", WebScript(title=""))
    assert sim.web.chat(silent.chat).name == "Untitled Chat"


async def test_the_prompt_can_carry_its_script(ada, sim):
    sim.web.enqueue(WebScript(text="queued"))
    got = await ada.ask('Before\n  simulate-web: {"text": "By line"}\nafter')
    assert got.text == "By line"
    assert (await ada.ask()).text == "queued"


@pytest.mark.parametrize("script", ['{"text": 5}', '{"nonsense": 1}', "no", '{"refuse": "unknown"}', "[" * 100_000])
async def test_a_script_in_the_prompt_that_cannot_be_read_is_refused(ada, script):
    got = await ada.ask(f"simulate-web: {script}")
    assert got.trailer["error"]["code"] == "invalid_argument"
    assert "simulate-web" in json.dumps(got.trailer)


async def test_models_are_told_without_a_token(ada, sim):
    service = "/apiv2/kimi.gateway.config.v1.ConfigService"
    newer = (await ada.call("GetAvailableModels", {}, service, Authorization="")).json
    assert newer["defaultScenario"] == {"scenario": "SCENARIO_CHAT", "model": "k2d6-chat"}
    assert newer["availableModels"][0]["id"] == "k2d6-chat"
    sim.web.knobs.models_shape = "2026-05"
    older = (await ada.call("GetAvailableModels", {}, service, Authorization="")).json
    assert older["defaultScenario"] == {"scenario": "SCENARIO_K2D5"}
    assert not any("id" in model for model in older["availableModels"])


async def test_the_plain_calls_about_a_user_answer(ada):
    user = await ada.call("GetCurrentUser", {}, "/apiv2/kimi.gateway.account.v1.UserService")
    assert user.json["user"]["id"] == ada.user.id
    plan = await ada.call("GetSubscription", {}, "/apiv2/kimi.gateway.order.v1.SubscriptionService")
    assert plan.json["subscription"]["userName"] == "ada"
    membership = "/apiv2/kimi.gateway.membership.v2.MembershipService"
    stats = (await ada.call("GetSubscriptionStats", {}, membership)).json["subscriptionBalance"]
    assert "amountUsedRatio" not in stats
    ada.user.used_ratio = 0.25
    stats = (await ada.call("GetSubscriptionStats", {}, membership)).json["subscriptionBalance"]
    assert stats["amountUsedRatio"] == 0.25


async def test_a_generation_can_be_away(ada, sim):
    sim.web.knobs.generations = "rest"
    assert (await ada.ask()).status == 404
    assert (await ada.send("POST", "/apiv2-files/file/upload", b"")).status == 404
    service = "/apiv2/kimi.gateway.config.v1.ConfigService"
    assert (await ada.call("GetAvailableModels", {}, service, Authorization="")).status == 404
    assert (await ada.say("Hi", WebScript(text="old"))).joined("cmpl") == "old"
    sim.web.knobs.generations = "connect"
    assert (await ada.send("POST", "/api/chat", {})).status == 404
    assert (await ada.send("GET", "/api/user")).status == 404
    assert (await ada.ask("Hi", WebScript(text="new"))).text == "new"


async def test_unknown_methods_are_unknown_paths(ada):
    assert (await ada.call("CreateChat")).status == 404
    assert (await ada.send("GET", f"{CHAT}/GetChat")).status == 404
