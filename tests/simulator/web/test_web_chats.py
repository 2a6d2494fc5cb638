"""The chats that the simulated web site keeps: context, branches, lists, and what belongs to whom."""

from moongate.simulator.web import SearchResult, WebScript

FOUND = SearchResult(title="Forecast", url="https://example.org/a")


async def test_the_log_has_the_whole_chain_that_a_turn_was_answered_with(ada, sim):
    first = await ada.ask("one", WebScript(text="1"))
    await ada.ask("two", WebScript(text="2"), chat=first.chat, parent=first.answer)
    seen = sim.web.log[-1]
    assert seen.context == (("user", "one"), ("assistant", "1"), ("user", "two"))
    assert (seen.prompt, seen.said, seen.state) == ("two", "2", "completed")
    assert (seen.generation, seen.user, seen.chat, seen.is_new) == ("connect", "ada", first.chat, False)


async def test_a_branch_from_an_earlier_message_has_only_what_came_before_it(ada, sim):
    first = await ada.ask("one", WebScript(text="1"))
    await ada.ask("two", WebScript(text="2"), chat=first.chat, parent=first.answer)
    await ada.ask("other", WebScript(text="3"), chat=first.chat, parent=first.answer)
    assert sim.web.log[-1].context == (("user", "one"), ("assistant", "1"), ("user", "other"))
    await ada.ask("fresh", chat=first.chat, parent=first.chat)
    assert sim.web.log[-1].context == (("user", "fresh"),)


async def test_without_a_parent_the_newest_message_is_answered(ada, sim):
    first = await ada.ask("one", WebScript(text="1"))
    await ada.ask("two", chat=first.chat)
    assert [text for _, text in sim.web.log[-1].context] == ["one", "1", "two"]


async def test_a_message_can_be_edited(ada, sim):
    first = await ada.ask("one", WebScript(text="1"))
    body = ada.request("better", first.chat)
    body["message"]["id"] = first.message("user")["id"]
    await ada.framed(body)
    assert sim.web.log[-1].context == (("user", "better"),)


async def test_parents_and_chats_of_others_are_unknown(ada, ben, sim):
    mine = await ada.ask("mine")
    for got in (await ben.ask(chat=mine.chat), await ada.ask(chat=mine.chat, parent="19ef0000-0000-8000")):
        assert got.trailer["error"]["code"] == "invalid_argument"
    assert (await ben.call("GetChat", {"chat_id": mine.chat})).status == 404
    assert (await ben.call("DeleteChat", {"chat_id": mine.chat})).status == 404
    assert len(sim.web.log) == 1


async def test_a_deleted_chat_is_gone_but_remembered(ada, sim):
    first = await ada.ask("one")
    assert (await ada.call("DeleteChat", {"chat_id": first.chat})).json == {}
    assert (await ada.call("DeleteChat", {"chat_id": first.chat})).json["code"] == "not_found"
    assert (await ada.ask(chat=first.chat, parent=first.answer)).trailer["error"]["code"] == "invalid_argument"
    assert sim.web.chat(first.chat).is_deleted


async def test_a_deletion_can_fail(ada, sim):
    sim.web.knobs.fail_deletes = 2
    new, old = (await ada.ask()).chat, await ada.new()
    assert (await ada.call("DeleteChat", {"chat_id": new})).status == 500
    assert (await ada.send("DELETE", f"/api/chat/{old}")).json["error_type"] == "server.internal"
    assert not sim.web.chat(new).is_deleted
    assert (await ada.call("DeleteChat", {"chat_id": new})).status == 200


async def test_several_chats_are_deleted_together_or_not_at_all(ada, sim):
    chats = [(await ada.ask()).chat for _ in range(2)]
    assert (await ada.call("BatchDeleteChats", {"chat_ids": [*chats, "unknown"]})).status == 404
    assert not any(sim.web.chat(chat).is_deleted for chat in chats)
    assert (await ada.call("BatchDeleteChats", {"chatIds": chats})).status == 200
    assert all(sim.web.chat(chat).is_deleted for chat in chats)


async def test_messages_are_listed_newest_first_with_the_root_at_the_end(ada):
    first = await ada.ask("one", WebScript(text="1", thinking="Hm", search=(FOUND,), markers="none"))
    listed = (await ada.call("ListMessages", {"chat_id": first.chat})).json["messages"]
    assert [message["role"] for message in listed] == ["assistant", "user", "system"]
    answer, prompt, root = listed
    assert (answer["id"], answer["parentId"], prompt["parentId"]) == (first.answer, prompt["id"], first.chat)
    assert root == {"id": first.chat, "role": "system", "status": "MESSAGE_STATUS_COMPLETED", "blocks": []}
    assert [set(block) - {"id", "messageId"} for block in answer["blocks"]] == [{"think"}, {"text"}]
    assert answer["refs"]["searchChunks"][0]["base"]["url"] == FOUND.url
    assert prompt["childrenMessageIds"] == [answer["id"]]
    assert answer["createTime"] > prompt["createTime"]


async def test_messages_come_in_pages(ada):
    first = await ada.ask("one")
    page = (await ada.call("ListMessages", {"chat_id": first.chat, "page_size": 2})).json
    assert len(page["messages"]) == 2
    rest = {"chat_id": first.chat, "page_size": 2, "page_token": page["nextPageToken"]}
    last = (await ada.call("ListMessages", rest)).json
    assert ([message["role"] for message in last["messages"]], "nextPageToken" in last) == (["system"], False)


async def test_chats_are_listed_newest_first_and_only_to_their_owner(ada, ben):
    chats = [(await ada.ask()).chat for _ in range(3)]
    await ada.call("DeleteChat", {"chat_id": chats[1]})
    service = "/apiv2/kimi.chat.v1.ChatService"
    assert [chat["id"] for chat in (await ada.call("ListChats", {}, service)).json["chats"]] == [chats[2], chats[0]]
    assert (await ben.call("ListChats")).json["chats"] == []


async def test_an_answer_that_was_taken_back_is_an_exception_in_the_history(ada):
    script = WebScript(text="never mind", refuse="completion_overloaded", refuse_when="exception mid-text")
    got = await ada.ask("one", script)
    answer = (await ada.call("ListMessages", {"chat_id": got.chat})).json["messages"][0]
    assert (answer["status"], len(answer["blocks"])) == ("MESSAGE_STATUS_FAILED", 1)
    assert answer["blocks"][0]["exception"]["error"]["reason"] == "REASON_COMPLETION_OVERLOADED"


async def test_chats_of_the_generations_do_not_mix(ada):
    old, new = await ada.new(), (await ada.ask()).chat
    assert (await ada.call("GetChat", {"chat_id": old})).status == 404
    assert (await ada.send("DELETE", f"/api/chat/{new}")).status == 404
