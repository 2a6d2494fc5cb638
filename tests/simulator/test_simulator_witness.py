"""What the simulator keeps of the requests it saw."""

import asyncio

import pytest

from moongate.simulator import Script, Usage, simulator


async def test_a_record_tells_what_came_and_how_it_ended(ask, sim):
    await ask("Hi", script=Script(text="Hello"), user="someone")
    seen = sim.seen[-1]
    assert (seen.method, seen.path, seen.status, seen.ended) == ("POST", "/v1/chat/completions", 200, "answered")
    assert seen.json["user"] == "someone"
    assert b'"someone"' in seen.body
    assert seen.came_at <= seen.ended_at
    assert seen.hung_up_at is None
    assert seen.billed == Usage(prompt=1, completion=2)
    assert seen.billed_tokens == 3


async def test_whole_and_streamed_answers_bill_what_they_report(ask, sim):
    for stream in (False, True):
        got = await ask("words " * 60, stream=stream)
        usage = got.chunks[-1]["choices"][0]["usage"] if stream else got.json["usage"]
        assert sim.seen[-1].billed_tokens == usage["total_tokens"]
        assert sim.seen[-1].billed.cached == usage.get("cached_tokens", 0)


async def test_credentials_are_shown_by_their_last_four_characters(ask, sim, session):
    await ask()
    assert sim.seen[-1].headers["authorization"] == "Bearer …1234"
    async with session.get(f"{sim.platform}/models", headers={"x-api-key": "abc", "Cookie": "a=secret-5678"}):
        pass
    assert sim.seen[-1].headers["x-api-key"] == "…"
    assert sim.seen[-1].headers["cookie"] == "…5678"


async def test_what_was_seen_can_be_read_over_http(ask, sim, session):
    await ask("你好", temperature=0)
    async with session.get(f"{sim.url}/_simulator/seen") as response:
        records = await response.json()
    assert [record["ended"] for record in records] == ["refused"]
    assert records[0]["headers"]["authorization"] == "Bearer …1234"
    assert records[0]["json"]["messages"][0]["content"] == "你好"
    assert records[0]["billed"]["prompt"] == 0
    assert "example" not in records[0]["headers"]["authorization"]


async def test_looking_at_the_witness_leaves_no_trace(sim, session):
    async with session.get(f"{sim.url}/_simulator/seen") as response:
        assert await response.json() == []
    assert sim.seen == []


async def test_reset_forgets_records_scripts_and_cached_prefixes(ask, sim):
    await ask("words " * 60)
    sim.enqueue(Script(text="queued"))
    sim.reset()
    assert (sim.seen, sim.queued) == ([], 0)
    assert "cached_tokens" not in (await ask("words " * 60)).json["usage"]


async def test_requests_are_answered_side_by_side_and_counted_while_open(ask, sim):
    slow = [asyncio.create_task(ask(script=Script(silent_before_headers=0.1))) for _ in range(5)]
    await asyncio.sleep(0.05)
    assert sim.open == 5
    assert sim.connections == 5
    assert [got.status for got in await asyncio.gather(*slow)] == [200] * 5
    await sim.settled()
    assert sim.open == 0


async def test_two_simulators_do_not_know_of_each_other():
    async with simulator() as one, simulator() as other:
        one.enqueue(Script(text="mine"))
        assert one.url != other.url
        assert other.queued == 0


async def test_the_port_is_free_again_after_the_scope():
    async with simulator() as sim:
        port = int(sim.url.rsplit(":", 1)[1])
    async with simulator(port=port) as again:
        assert again.url == sim.url


async def test_a_port_that_is_taken_is_an_os_error():
    async with simulator() as sim:
        with pytest.raises(OSError, match="in use"):
            async with simulator(port=int(sim.url.rsplit(":", 1)[1])):
                pass


async def test_only_the_last_thousand_records_are_kept(session, sim):
    first = await session.get(f"{sim.url}/first")
    first.release()
    record = sim.seen[0]
    sim.seen.extend([record] * 999)
    async with session.get(f"{sim.url}/last"):
        pass
    assert len(sim.seen) == 1000
    assert sim.seen[-1].path == "/last"
