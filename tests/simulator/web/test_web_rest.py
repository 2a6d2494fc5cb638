"""What the older generation of the simulated web site tells, and what it keeps."""

import pytest

from moongate.simulator.web import SearchResult, WebScript

FOUND = (
    SearchResult(title="Forecast", url="https://example.org/a", snippet="sunny", site_name="Example"),
    SearchResult(title="Climate", url="https://example.org/b"),
)


async def test_a_turn_is_told_in_the_known_order(ada):
    got = await ada.say("hello", WebScript(text="Hi there.", piece=4, heartbeats=False))
    assert got.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert got.names == ["req", "resp", "cmpl", "cmpl", "cmpl", "rename", "done", "all_done"]
    req, resp = got.events[:2]
    assert (req["content"], req["refs"], req["group_id"]) == ("hello", [], resp["group_id"])
    assert all(len(value) == 20 for value in (req["id"], resp["id"]))
    assert got.joined("cmpl") == "Hi there."


async def test_the_server_keeps_the_history_and_only_the_first_message_counts(ada, sim):
    chat = await ada.new()
    await ada.say("one", WebScript(text="1"), chat=chat)
    two = [{"role": "user", "content": "two"}, {"role": "user", "content": "unheard"}]
    await ada.say("", chat=chat, messages=two)
    seen = sim.web.log[-1]
    assert seen.context == (("user", "one"), ("assistant", "1"), ("user", "two"))
    assert (seen.generation, seen.model, seen.chat) == ("rest", "k2", chat)


@pytest.mark.parametrize(("model", "thinks"), [("k2", False), ("kimi", False), ("k1.5", True), ("k1", True)])
async def test_the_model_decides_whether_it_thinks(ada, sim, model, thinks):
    got = await ada.say("Hi", model=model)
    assert bool(got.joined("k1")) == thinks
    assert sim.web.log[-1].thinking == thinks


async def test_thinking_can_come_as_its_other_event(ada):
    got = await ada.say("Hi", WebScript(text="a", thinking="Hm", thinking_form="think"))
    assert (got.joined("think"), got.joined("k1")) == ("Hm", "")


async def test_a_search_is_told_by_search_plus(ada, sim):
    got = await ada.say("Hi", WebScript(text="A [[2]]", search=FOUND, markers="caret", piece=1), use_search=True)
    told = [event["msg"] for event in got.events if event["event"] == "search_plus"]
    assert [msg["type"] for msg in told] == ["start_res", "target", "get_res", "get_res"]
    assert (told[2]["url"], told[2]["site_name"]) == (FOUND[0].url, "Example")
    assert got.joined("cmpl") == "A [^2^]"
    assert next(event for event in got.events if event["event"] == "search_citation")["values"] == {"2": {}}
    assert sim.web.log[-1].search


async def test_a_search_is_told_by_k1_and_by_documents(ada):
    thought = await ada.say("Hi", WebScript(text="A", search=FOUND, search_form="k1", markers="none"))
    kinds = [event.get("type") for event in thought.events if event["event"] == "k1"]
    assert kinds == ["search_targets", "search_results"]
    documents = await ada.say("Hi", WebScript(text="A", search=FOUND, search_form="ref_docs", markers="none"))
    cards = next(event for event in documents.events if event["event"] == "ref_docs")["ref_cards"]
    assert [card["url"] for card in cards] == [page.url for page in FOUND]
    assert "search_plus" not in documents.names


async def test_references_can_be_asked_for_afterwards(ada):
    chat = await ada.new()
    got = await ada.say("Hi", WebScript(text="A [[1]]", search=FOUND, markers="caret"), chat=chat)
    plain = await ada.say("Hi", chat=chat)
    sids = [told.events[1]["id"] for told in (got, plain)]
    queries = {"queries": [{"chat_id": chat, "sid": sid, "z_idx": 0} for sid in sids]}
    items = (await ada.send("POST", "/api/chat/segment/v3/rag-refs", queries)).json["items"]
    assert items[0]["refs"][0]["ref_doc"]["url"] == FOUND[0].url
    assert items[1] == {"segment_id": sids[1], "refs": None}


async def test_an_answer_at_its_longest_can_be_continued(ada, sim):
    chat = await ada.new()
    first = await ada.say("Count", WebScript(text="one two", length=True), chat=chat)
    assert first.names[-3:] == ["length", "done", "all_done"]
    rest = {"segment_id": first.events[0]["id"], "action": "continue"}
    second = await ada.say(" ", WebScript(text=" three"), chat=chat, **rest)
    assert second.joined("cmpl") == " three"
    assert sim.web.log[-1].context == (("user", "Count"), ("assistant", "one two"))
    assert sim.web.log[-1].action == "continue"
    unknown = await ada.say(" ", chat=chat, action="continue", segment_id="unknown")
    assert unknown.json["error_type"] == "request.invalid"


async def test_chats_are_listed_and_deleted(ada, ben, sim):
    chats = [await ada.new() for _ in range(3)]
    listed = await ada.send("POST", "/api/chat/list", {"kimiplus_id": "", "offset": 0, "size": 2})
    assert [item["id"] for item in listed.json["items"]] == [chats[2], chats[1]]
    assert (await ben.send("DELETE", f"/api/chat/{chats[0]}")).status == 404
    assert (await ada.send("DELETE", f"/api/chat/{chats[0]}")).status == 200
    assert (await ada.send("DELETE", f"/api/chat/{chats[0]}")).json["error_type"] == "resource.not_found"
    assert sim.web.chat(chats[0]).is_deleted
    assert (await ada.say("Hi", chat=chats[0])).status == 404


@pytest.mark.parametrize("messages", [[], None, "text", [5]])
async def test_a_completion_without_a_message_is_refused(ada, messages):
    got = await ada.say("", messages=messages)
    assert (got.status, got.json["error_type"]) == (400, "request.invalid")


async def test_unknown_events_come_where_they_are_wanted(ada):
    got = await ada.say("Hi", WebScript(text="a", unknown_blocks=True))
    assert {"hologram", "zone_set"} <= set(got.names)
    assert got.joined("cmpl") == "a"
