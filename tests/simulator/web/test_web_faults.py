"""What goes wrong on the simulated web site when a script wants it to."""

import asyncio
import time

import aiohttp
import pytest

from moongate.simulator import simulator
from moongate.simulator.web import ROWS, WebRefusal, WebScript
from moongate.simulator.web.frames import envelope

from .conftest import Client

TEXT = "Grüße 你好 🌙 and so on"


@pytest.mark.parametrize("row", [row for row, refusal in ROWS.items() if not refusal.is_plain])
async def test_a_refusal_before_the_text_is_a_trailer_after_a_heartbeat(ada, sim, row):
    got = await ada.ask("Hi", WebScript(refuse=row, refuse_when="trailer before text"))
    assert got.status == 200
    assert [next(iter(value)) for _, value in got.frames] == ["heartbeat", "eventOffset", "error"]
    error = got.trailer["error"]
    assert error["code"] == ROWS[row].code
    assert error["details"][0]["debug"].get("reason", "") == ROWS[row].reason
    assert error["details"][0]["debug"]["localizedMessage"]["message"] == ROWS[row].message
    assert (sim.web.log[-1].state, sim.web.chats.all) == ("refused", {})


@pytest.mark.parametrize(
    ("row", "status"),
    [("http_401", 401), ("http_403", 403), ("http_429", 429), ("http_502", 502), ("http_503", 503), ("challenge", 403)],
)
async def test_plain_refusals_are_told_over_http(ada, sim, row, status):
    for got in (await ada.ask("Hi", WebScript(refuse=row)), await ada.say("Hi", WebScript(refuse=row))):
        assert got.status == status
        assert got.headers.get("Retry-After") == ("2" if row == "http_429" else None)
        assert got.raw.startswith(b"<!DOCTYPE html>") == (row == "challenge")
        assert got.headers["Content-Type"].startswith("text/html") == bool(ROWS[row].page)
    assert sim.web.user("ada").active == 0


async def test_a_bad_token_is_told_over_http_unless_the_script_says_otherwise(ada):
    got = await ada.ask("Hi", WebScript(refuse="unauthenticated"))
    assert (got.status, got.json["code"]) == (401, "unauthenticated")
    inside = await ada.ask("Hi", WebScript(refuse="unauthenticated", refuse_when="trailer before text"))
    assert (inside.status, inside.trailer["error"]["code"]) == (200, "unauthenticated")
    whole = await ada.ask("Hi", WebScript(refuse="unauthenticated", refuse_when="body"))
    assert (whole.status, whole.json["code"]) == (200, "unauthenticated")
    assert whole.headers["Content-Type"] == "application/json"


async def test_a_refusal_can_come_in_the_middle_of_the_text(ada, sim):
    got = await ada.ask("Hi", WebScript(text="abcdefgh", piece=2, refuse="unavailable", refuse_when="trailer mid-text"))
    assert (got.text, got.trailer["error"]["code"]) == ("abcd", "unavailable")
    assert not any("done" in value for value in got.data)
    assert (sim.web.log[-1].said, sim.web.log[-1].state) == ("abcd", "failed")


async def test_a_refusal_can_come_after_done(ada):
    script = WebScript(text="abcd", refuse="overloaded_for_free_user", refuse_when="trailer after done")
    got = await ada.ask("Hi", script)
    assert "done" in got.data[-1]
    assert got.text == "abcd"
    assert got.trailer["error"]["code"] == "resource_exhausted"


async def test_an_exception_takes_back_what_was_said(ada):
    script = WebScript(text="abcdefgh", piece=2, refuse="completion_overloaded", refuse_when="exception mid-text")
    got = await ada.ask("Hi", script)
    told = next(value["block"] for value in got.data if value.get("mask") == "block.exception")
    assert told["exception"]["error"]["severity"] == "SEVERITY_BLOCK_RETRACT"
    assert told["id"] in got.blocks
    assert (got.text, got.trailer) == ("abcd", {})


async def test_details_of_an_error_can_stand_beside_its_code(ada, sim):
    sim.web.knobs.bare_debug = True
    got = await ada.ask("Hi", WebScript(refuse="overloaded_for_free_user"))
    assert got.trailer["error"]["debug"]["reason"] == "REASON_SERVER_OVERLOADED_FOR_FREE_USER"


async def test_a_spent_quota_names_a_plan(ada):
    got = await ada.ask("Hi", WebScript(refuse="quota"))
    assert got.trailer["error"]["paywall"]["needUpgrade"] is True


async def test_a_refusal_of_ones_own(ada):
    refusal = WebRefusal(code="data_loss", reason="REASON_EXAMPLE", message="Oh", status=500)
    assert (await ada.ask("Hi", WebScript(refuse=refusal))).trailer["error"]["code"] == "data_loss"


@pytest.mark.parametrize(
    ("when", "names"),
    [
        ("trailer before text", ["req", "resp", "error"]),
        ("trailer mid-text", ["req", "resp", "cmpl", "error"]),
        ("exception mid-text", ["req", "resp", "cmpl", "error"]),
        ("trailer after done", ["req", "resp", "cmpl", "rename", "done", "error"]),
    ],
)
async def test_the_older_generation_refuses_by_an_event(ada, when, names):
    script = WebScript(text="abcdef", refuse="completion_overloaded", refuse_when=when, heartbeats=False)
    got = await ada.say("Hi", script)
    assert got.names == names
    assert got.events[-1]["error"]["error_type"] == "openai.completion.stream"


async def test_the_older_generation_refuses_over_http(ada):
    got = await ada.say("Hi", WebScript(refuse="unauthenticated"))
    assert (got.status, got.json["error_type"]) == (401, "auth.token.invalid")
    whole = await ada.say("Hi", WebScript(refuse="parallel", refuse_when="body"))
    assert (whole.status, whole.json["error_type"]) == (200, "chat.user_stream_pushing")


async def test_a_refusal_before_the_text_leaves_nothing_in_an_older_chat(ada, sim):
    chat = await ada.new()
    await ada.say("one", WebScript(refuse="completion_overloaded"), chat=chat)
    await ada.say("one", chat=chat)
    assert sim.web.log[-1].context == (("user", "one"),)


async def test_an_answer_can_be_empty(ada):
    got = await ada.ask("Hi", WebScript(empty=True))
    assert (got.text, got.trailer) == ("", {})
    assert "done" in got.data[-1]
    assert (await ada.say("Hi", WebScript(empty=True))).joined("cmpl") == ""


async def test_ends_can_be_left_out(ada):
    got = await ada.ask("Hi", WebScript(text="a", omit_trailer=True))
    assert (got.trailer, got.is_cut) == (None, False)
    assert "done" in got.data[-1]
    got = await ada.ask("Hi", WebScript(text="a", omit_done=True))
    assert got.trailer == {}
    assert not any("done" in value for value in got.data)
    assert (await ada.say("Hi", WebScript(text="a", omit_all_done=True))).names[-1] == "done"
    assert "done" not in (await ada.say("Hi", WebScript(text="a", omit_done=True))).names


@pytest.mark.parametrize("count", [0, 1, 5, 8])
async def test_the_connection_can_be_cut_after_some_frames(ada, sim, count):
    got = await ada.ask("Hi", WebScript(text=TEXT, cut_after=count))
    assert got.is_cut
    assert len(got.frames) == count
    assert sim.seen[-1].ended == "cut"
    assert (sim.web.log[-1].said, sim.web.log[-1].hung_up) == (TEXT, False)


async def test_the_body_can_end_cleanly_too_early(ada, sim):
    got = await ada.ask("Hi", WebScript(text=TEXT, close_after=5))
    assert (got.is_cut, len(got.frames), got.trailer) == (False, 5, None)
    await sim.web.settled()
    assert sim.web.log[-1].state == "completed"
    events = await ada.say("Hi", WebScript(text=TEXT, close_after=2))
    assert events.names == ["req", "resp"]


async def test_a_cut_at_the_very_end_comes_after_the_trailer(ada):
    whole = await ada.ask("Hi", WebScript(text=TEXT))
    got = await ada.ask("Hi", WebScript(text=TEXT, cut_after=len(whole.frames)))
    assert (got.is_cut, got.trailer) == (True, {})


async def test_the_connection_can_drop_before_any_answer(ada, sim):
    with pytest.raises(aiohttp.ClientError):
        await ada.ask("Hi", WebScript(text=TEXT, drop_before_headers=True))
    await sim.web.settled()
    assert (sim.web.log[-1].said, ada.user.active) == (TEXT, 0)


@pytest.mark.parametrize("split", [1, 3, 7])
async def test_frames_and_characters_can_be_split_over_writes(ada, split):
    got = await ada.ask(TEXT, WebScript(text=TEXT, split=split))
    assert (got.text, got.trailer) == (TEXT, {})
    assert (await ada.say(TEXT, WebScript(text=TEXT, split=split))).joined("cmpl") == TEXT


async def test_there_can_be_pauses_between_frames(ada):
    began = time.monotonic()
    got = await ada.ask("Hi", WebScript(text="ab", heartbeats=False, pause=0.01))
    assert time.monotonic() - began >= 0.01 * (len(got.frames) - 1)


async def test_there_can_be_silence_before_the_answer(ada):
    began = time.monotonic()
    await ada.ask("Hi", WebScript(silent_before_headers=0.05))
    assert time.monotonic() - began >= 0.05


async def until(holds):
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError


async def started(ada, sim, script, **members):
    """A turn whose answer has begun, and its record."""
    before = len(sim.web.log)
    task = asyncio.create_task(ada.ask("Hi", script, **members))
    await until(lambda: len(sim.web.log) > before and sim.web.log[-1].said)
    return task, sim.web.log[-1]


async def hung_up(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_answer_goes_on_when_the_client_has_gone(ada, sim):
    task, seen = await started(ada, sim, WebScript(text=TEXT, piece=1, pause=0.005))
    await hung_up(task)
    assert seen.state == "generating"
    assert ada.user.active == 1
    await sim.web.settled()
    assert (seen.said, seen.state, seen.hung_up) == (TEXT, "completed", True)
    listed = (await ada.call("ListMessages", {"chat_id": seen.chat})).json["messages"]
    assert listed[0]["blocks"][0]["text"]["content"] == TEXT
    assert ada.user.active == 0


async def test_a_client_that_goes_before_the_answer_leaves_it_to_land(ada, sim):
    task = asyncio.create_task(ada.ask("Hi", WebScript(text=TEXT, silent_before_headers=30.0)))
    await until(lambda: sim.web.log)
    await hung_up(task)
    seen = sim.web.log[-1]
    await until(lambda: seen.hung_up)
    await sim.web.settled()
    assert (seen.said, seen.state, ada.user.active) == (TEXT, "completed", 0)


async def test_an_answer_that_is_cancelled_stops(ada, sim):
    task, seen = await started(ada, sim, WebScript(text=TEXT, piece=1, pause=0.02))
    await hung_up(task)
    assert (await ada.call("CancelChat", {"chat_id": seen.chat, "message_id": seen.message})).json == {}
    await sim.web.settled()
    assert (seen.state, seen.hung_up) == ("cancelled", True)
    assert TEXT.startswith(seen.said)
    assert len(seen.said) < len(TEXT)
    assert sim.web.chat(seen.chat).cancelled == [seen.message]


async def test_a_cancel_ends_the_stream_of_who_still_listens(ada, sim):
    task, seen = await started(ada, sim, WebScript(text=TEXT, stall_after=7))
    await ada.call("CancelChat", {"chatId": seen.chat, "messageId": seen.message})
    got = await asyncio.wait_for(task, 1)
    assert got.trailer is None
    assert (seen.state, seen.hung_up) == ("cancelled", False)


async def test_a_cancel_of_what_is_unknown_is_not_found(ada, ben, sim):
    got = await ada.ask()
    assert (await ada.call("CancelChat", {"chat_id": got.chat, "message_id": "unknown"})).status == 404
    assert (await ben.call("CancelChat", {"chat_id": got.chat, "message_id": got.answer})).status == 404
    assert sim.web.chat(got.chat).cancelled == []


async def test_a_stalled_answer_lands_once_the_client_has_gone(ada, sim):
    task, seen = await started(ada, sim, WebScript(text=TEXT, piece=4, stall_after=6))
    await asyncio.sleep(0.02)
    assert len(seen.said) < len(TEXT)
    await hung_up(task)
    await until(lambda: seen.hung_up)
    await sim.web.settled()
    assert (seen.said, seen.state) == (TEXT, "completed")
    assert sim.seen[-1].ended in ("hung_up", "answered")


async def test_the_older_generation_tells_one_answer_at_a_time(ada, ben, sim):
    task, _ = await started(ada, sim, WebScript(text=TEXT, stall_after=6))
    second = await ada.say("Hi")
    assert second.json["error_type"] == "chat.user_stream_pushing"
    assert (await ben.say("Hi")).status == 200
    assert (await ada.ask()).trailer == {}
    sim.web.knobs.connect_streams = 1
    refused = await ada.ask()
    assert refused.trailer["error"]["code"] == "resource_exhausted"
    assert "parallel" in str(refused.trailer)
    await hung_up(task)
    await sim.web.settled()
    assert (await ada.say("Hi")).names[-1] == "all_done"


async def test_a_simulator_that_closes_breaks_off_what_is_being_written(session):
    async with simulator() as sim:
        client = Client(sim, session, "ada")
        task, seen = await started(client, sim, WebScript(text=TEXT * 100, piece=1, pause=0.01))
    assert seen.state == "cancelled"
    assert (await asyncio.gather(task, return_exceptions=True))[0] is not None
    assert sim.web.running == {}


def test_an_envelope_is_flags_length_and_payload():
    assert envelope(b"ab", 2) == b"\x02\x00\x00\x00\x02ab"
