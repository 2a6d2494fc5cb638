"""Conversations in memory: one turn at a time, whole for whoever answers, kept as long as they are used."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from moongate.conversations.conversations import Conversations, Terms
from moongate.conversations.record import Advanced, Change, Key, Removed, Said, Stored
from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Anchored
from moongate.core.reply import Block, Reply
from moongate.core.turn import Anchor
from moongate.dialects.openai_chat.server import OpenAIChat
from scripted import asked

SERVER = OpenAIChat()
KEY = Key("ada", "trip")
WEB, ELSEWHERE = ("web-1", "kimi-web"), ("key-1", "moonshot")


class Home:
    """Conversations, with a clock to be set and a record of what was to be kept and forgotten."""

    def __init__(self, **terms: float) -> None:
        self.now = 1000.0
        self.changes: list[Change] = []
        self.forgotten: list[str] = []
        given = Terms(**terms)  # type: ignore[arg-type]
        self.there = Conversations(
            {SERVER.dialect: SERVER},
            given,
            self.changes.append,
            lambda a: self.forgotten.append(a.chat),
            lambda: self.now,
        )
        self.there.load(())

    async def say(
        self,
        *texts: str,
        reply: str | None = "ok",
        chat: Anchored | None = None,
        by: tuple[str, str] = WEB,
        key: Key = KEY,
        roles: Sequence[str] = (),
    ) -> tuple[list[str], Anchor | None]:
        """What the upstream would read of it, and what it knows already. `roles` if not all are the user's."""
        said = [
            {"role": role, "content": text} for role, text in zip(roles or ["user"] * len(texts), texts, strict=True)
        ]
        ask = asked(json.dumps({"model": "k2", "messages": said}).encode())
        async with self.there.turn(key, SERVER, ask) as placement:
            if reply is not None:
                blocks = (Block("thinking", "hm"), Block("text", reply))
                placement.advance(Reply("r", "m", 0, blocks, "stop", None, anchor=chat), *by)
            told = [message.text for message in placement.turn.prompt().messages]
            assert json.loads(placement.turn.ask.origin.body)["model"] == "k2"
            return told, placement.turn.anchor


async def test_only_what_is_new_is_sent_and_all_that_was_said_is_asked() -> None:
    home = Home()
    assert (await home.say("one", reply="first"))[0] == ["one"]
    assert (await home.say("two", reply="second"))[0] == ["one", "first", "two"]
    assert (await home.say("three"))[0] == ["one", "first", "two", "second", "three"]


async def test_who_sends_the_history_all_the_same_doubles_nothing() -> None:
    home = Home()
    await home.say("one", reply="first")
    told, _ = await home.say("one", "first ", "two", roles=["user", "assistant", "user"])
    assert told == ["one", "first", "two"]


async def test_a_turn_that_came_to_nothing_leaves_no_trace() -> None:
    home = Home()
    await home.say("one", reply="first")
    await home.say("lost", reply=None)
    assert (await home.say("two"))[0] == ["one", "first", "two"]
    await home.say("never", reply=None, key=Key("ada", "never"))
    assert not await is_there(home, "never")


async def test_the_thinking_of_a_reply_is_part_of_what_was_said() -> None:
    home = Home()
    await home.say("one")
    assert [message.thinking for message in await home.there.messages(KEY)] == ["", "hm"]


async def test_two_calls_at_once_are_taken_in_turn() -> None:
    home = Home()
    told = await asyncio.gather(*(home.say(f"q{n}", reply=f"a{n}") for n in range(20)))
    assert [len(texts) for texts, _ in told] == list(range(1, 40, 2))
    assert told[-1][0] == [text for n in range(20) for text in (f"q{n}", f"a{n}")][:-1]


async def test_who_waits_too_long_for_their_turn_is_told_so() -> None:
    home = Home(patience=0.01)
    async with home.there.turn(KEY, SERVER, asked()):
        with pytest.raises(GatewayError) as caught:
            await home.say("two")
    assert (caught.value.kind, caught.value.status) == (Kind.CONVERSATION_BUSY, 409)


async def test_nobody_else_finds_it() -> None:
    home = Home()
    await home.say("one")
    for other in (Key("eve", "trip"), Key("ada", "tri")):
        with pytest.raises(GatewayError) as caught:
            await home.there.find(other)
        assert caught.value.kind is Kind.UNKNOWN_CONVERSATION
    assert (await home.say("mine", key=Key("eve", "trip")))[0] == ["mine"]


async def test_an_upstream_that_remembers_is_told_where() -> None:
    home = Home()
    assert (await home.say("one", chat=Anchored("c", "m1")))[1] is None
    assert (await home.say("two", chat=Anchored("c", "m2")))[1] == Anchor("kimi-web", "web-1", "c", "m1", covers=2)
    assert (await home.say("three", chat=Anchored("c", "m3")))[1] == Anchor("kimi-web", "web-1", "c", "m2", covers=4)


async def test_what_another_answered_is_what_it_does_not_know_yet() -> None:
    home = Home()
    await home.say("one", chat=Anchored("c", "m1"))
    await home.say("two", by=ELSEWHERE)
    told, anchor = await home.say("three", chat=Anchored("c", "m3"))
    assert anchor is not None
    assert told[anchor.covers :] == ["two", "ok", "three"]


async def test_a_chat_that_was_left_for_another_is_forgotten() -> None:
    home = Home()
    await home.say("one", chat=Anchored("old", "m1"))
    await home.say("two", chat=Anchored("new", "m2"), by=("web-2", "kimi-web"))
    assert home.forgotten == ["old"]


@pytest.mark.parametrize(
    ("texts", "roles"),
    [(("be brief", "two"), ["system", "user"]), (("one", "no", "two"), ["user", "assistant", "user"])],
    ids=["another system prompt", "edited"],
)
async def test_where_the_beginning_has_changed_nobody_remembers_it(texts: tuple[str, ...], roles: list[str]) -> None:
    home = Home()
    await home.say("one", reply="first", chat=Anchored("c", "m1"))
    assert (await home.say(*texts, roles=roles))[1] is None


async def test_a_chat_that_only_goes_on_from_its_last_message_is_used_once() -> None:
    home = Home()
    await home.say("one", chat=Anchored("c"))
    assert (await home.say("hung up", reply=None))[1] == Anchor("kimi-web", "web-1", "c", "", covers=2)
    assert home.forgotten == ["c"]
    assert (await home.say("two", chat=Anchored("d")))[1] is None
    assert (await home.say("three", chat=Anchored("e")))[1] is not None
    assert home.forgotten == ["c", "d"]
    assert all(change.anchor is None for change in home.changes if isinstance(change, Advanced))


async def test_what_nobody_uses_ends_and_what_is_left_there_is_forgotten() -> None:
    home = Home(idle=60)
    await home.say("one", chat=Anchored("c", "m1"))
    home.now += 59
    await home.say("two", chat=Anchored("c", "m2"))
    home.now += 61
    home.there.sweep()
    assert (len(home.there), home.there.size, home.forgotten) == (0, 0, ["c"])
    assert home.changes[-1] == Removed(KEY, home.now)
    assert (await home.say("anew"))[0] == ["anew"]


async def test_where_there_are_too_many_the_one_not_used_for_longest_goes() -> None:
    home = Home(most=3)
    for name in "abcd":
        home.now += 1
        await home.say("hi", key=Key("ada", name))
        if name == "c":
            await home.say("again", key=Key("ada", "a"))
    home.there.sweep()
    kept = [name for name in "abcd" if await is_there(home, name)]
    assert kept == ["a", "c", "d"]


async def is_there(home: Home, name: str) -> bool:
    try:
        await home.there.find(Key("ada", name))
    except GatewayError:
        return False
    return True


async def test_requests_that_come_to_nothing_take_nobodys_place() -> None:
    home = Home(most=3)
    for name in "abc":
        await home.say("hi", key=Key("ada", name))
    await asyncio.gather(*(home.say("x", reply=None, key=Key("eve", str(number))) for number in range(20)))
    home.there.sweep()
    assert [name for name in "abc" if await is_there(home, name)] == ["a", "b", "c"]
    assert not any(isinstance(change, Removed) for change in home.changes)
    assert len(home.there) == 3


async def test_all_of_them_together_take_bounded_memory() -> None:
    home = Home(total=10_000, largest=5_000)
    for number in range(50):
        await home.say("x" * 900, key=Key("ada", str(number)))
        home.there.sweep()
        assert home.there.size <= 10_000
    assert 5 < len(home.there) < 12


async def test_one_that_grows_too_large_is_refused_by_its_size() -> None:
    home = Home(largest=5_000)
    await home.say("x" * 4_000)
    with pytest.raises(GatewayError) as caught:
        await home.say("y" * 1_000)
    assert caught.value.kind is Kind.TOO_LARGE
    assert "5000" in caught.value.message


async def test_one_that_is_being_used_is_not_taken_away() -> None:
    home = Home(idle=60, most=1)
    await home.say("one", reply="first")
    async with home.there.turn(KEY, SERVER, asked()):
        home.now += 100
        await home.say("hi", key=Key("ada", "other"))
        home.there.sweep()
    assert (await home.there.find(KEY)).said


async def test_what_is_deleted_in_the_middle_of_a_turn_does_not_come_back() -> None:
    home = Home()
    await home.say("one", chat=Anchored("c", "m1"))
    async with home.there.turn(KEY, SERVER, asked()) as placement:
        await home.there.remove(KEY)
        placement.advance(Reply("r", "m", 0, (Block("text", "late"),), "stop", None, anchor=Anchored("c2", "m")), *WEB)
    assert not await is_there(home, "trip")
    assert isinstance(home.changes[-1], Removed)
    assert home.forgotten == ["c", "c2"]


async def test_who_waits_for_one_that_is_deleted_begins_another() -> None:
    home = Home()
    await home.say("one")
    async with home.there.turn(KEY, SERVER, asked()):
        waiting = asyncio.create_task(home.say("two", reply="second"))
        await asyncio.sleep(0)
        await home.there.remove(KEY)
    assert await waiting == (["two"], None)
    assert [message.text for message in await home.there.messages(KEY)] == ["two", "second"]


async def test_who_gives_up_waiting_takes_nothing_from_whose_turn_it_is() -> None:
    home = Home()
    await home.say("one", chat=Anchored("c"))
    async with home.there.turn(KEY, SERVER, asked()) as placement:
        waiting = asyncio.create_task(home.say("two"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert home.forgotten == []
        reply = Reply("r", "m", 0, (Block("text", "ok"),), "stop", None, anchor=Anchored("c"))
        placement.advance(reply, *WEB)
    assert home.forgotten == []


async def test_there_is_room_for_the_one_that_is_asked_for_whatever_else_is_in_use() -> None:
    home = Home(most=1)
    async with home.there.turn(Key("ada", "other"), SERVER, asked()):
        await home.say("one", reply="first")
        assert (await home.say("two"))[0] == ["one", "first", "two"]


async def test_several_answers_are_no_turn_of_a_conversation() -> None:
    with pytest.raises(GatewayError) as caught:
        async with Home().there.turn(KEY, SERVER, asked(choices=2)):
            pass
    assert (caught.value.kind, caught.value.param) == (Kind.INVALID_REQUEST, "n")


async def test_what_was_kept_is_there_again_with_what_happened_since() -> None:
    before = Home()
    await before.say("one", reply="first", chat=Anchored("c", "m1"))
    await before.say("gone", key=Key("ada", "other"))
    stored = [Stored(KEY, 1000.0, 1000.0, before.changes[0].said, before.changes[0].anchor)]  # type: ignore[union-attr]
    await before.say("two", reply="second", chat=Anchored("c", "m2"))
    await before.there.remove(Key("ada", "other"))
    after = Home()
    after.there.load(stored, before.changes[1:])
    told, anchor = await after.say("three")
    assert told == ["one", "first", "two", "second", "three"]
    assert anchor == Anchor("kimi-web", "web-1", "c", "m2", covers=4)
    assert not await is_there(after, "other")


async def test_before_what_was_kept_is_read_nobody_is_told_that_there_is_nothing() -> None:
    there = Conversations({SERVER.dialect: SERVER}, Terms(loading=0.01))
    with pytest.raises(GatewayError) as caught:
        await there.find(KEY)
    assert (caught.value.kind, caught.value.status) == (Kind.HISTORY_AWAY, 503)
    said = (Said(SERVER.dialect, b'{"role":"user","content":"hi"}'),)
    there.load([Stored(KEY, 0.0, 1e12, said, None)])
    assert (await there.find(KEY)).said == list(said)
