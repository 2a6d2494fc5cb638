"""Each fault does on the wire what it says."""

import asyncio
import json
import time

import aiohttp
import pytest

from moongate.simulator import Script, simulator

SAID = Script(reasoning="想", text="Hello, 世界!", piece=4)
STREAMED = 8  # chunks of SAID: role, reasoning, its end, three of text, finish, and usage where it is asked for
KEY = "sk-example-1234"


def scripted(**faults):
    return Script(reasoning=SAID.reasoning, text=SAID.text, piece=SAID.piece, **faults)


async def raw_request(sim, *, stream, version="1.1"):
    """A connection on which one request has been sent by hand."""
    message = {"role": "user", "content": "Hi"}
    usage = {"stream_options": {"include_usage": True}} if stream else {}
    body = json.dumps({"model": "kimi-k3", "messages": [message], "stream": stream, **usage})
    host, port = sim.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /v1/chat/completions HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n"
    )
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    return reader, writer


async def raw_reads(sim, *, stream, version="1.1"):
    """What each read brought, up to the end of the connection."""
    reader, writer = await raw_request(sim, stream=stream, version=version)
    reads = []
    while data := await reader.read(65536):
        reads.append(data)
    writer.close()
    await writer.wait_closed()
    return reads


async def test_cut_aborts_in_the_middle_of_the_http_body(ask, sim):
    sim.enqueue(scripted(cut_after=3))
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(stream=True)
    assert sim.seen[-1].ended == "cut"
    sim.enqueue(scripted(cut_after=3))
    told = b"".join(await raw_reads(sim, stream=True))
    assert told.count(b"data: ") == 3
    assert not told.endswith(b"0\r\n\r\n")


async def test_cut_of_a_whole_reply_leaves_it_shorter_than_announced(ask, sim):
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(script=scripted(cut_after=2))
    assert sim.seen[-1].ended == "cut"


async def test_close_ends_the_body_cleanly_without_finish_or_done(ask, sim):
    got = await ask(script=scripted(close_after=4), stream=True)
    assert len(got.data) == 4
    assert b"[DONE]" not in got.raw
    assert b'"finish_reason":"' not in got.raw
    assert sim.seen[-1].ended == "cut"
    whole = await ask(script=scripted(close_after=2))
    assert (whole.status, len(whole.raw)) == (200, 128)


async def test_dropping_the_connection_leaves_no_answer_at_all(sim, session):
    sim.enqueue(Script(drop_before_headers=True))
    body = {"model": "kimi-k3", "messages": [{"role": "user", "content": "Hi"}]}
    # POST is not repeated by the client, so one script is enough.
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await session.post(f"{sim.platform}/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"})
    assert (sim.seen[-1].ended, sim.seen[-1].status) == ("cut", None)


async def test_done_can_be_omitted(ask, sim):
    got = await ask(script=scripted(omit_done=True), stream=True)
    assert len(got.data) == STREAMED - 1
    assert json.loads(got.data[-1])["choices"][0]["finish_reason"] == "stop"
    assert sim.seen[-1].ended == "answered"


async def test_a_malformed_chunk_stands_among_good_ones(ask):
    got = await ask(script=scripted(malformed_after=2), stream=True)
    assert len(got.data) == STREAMED + 1
    with pytest.raises(json.JSONDecodeError):
        json.loads(got.data[2])
    json.loads(got.data[3])
    assert got.data[-1] == "[DONE]"


async def test_a_malformed_whole_reply_is_no_json_but_a_proper_body(ask):
    got = await ask(script=scripted(malformed_after=1))
    assert got.status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(got.raw)


async def test_an_error_in_the_stream_ends_it_without_done(ask, sim):
    got = await ask(script=scripted(error_after=2), stream=True)
    assert got.status == 200
    assert json.loads(got.data[-1])["error"]["type"] == "engine_overloaded_error"
    assert len(got.data) == 3
    assert sim.seen[-1].ended == "refused"


async def test_which_error_is_told_in_band_can_be_chosen(ask):
    got = await ask(script=scripted(error_after=0, refuse="five_hour_quota"), stream=True)
    assert [json.loads(data)["error"]["type"] for data in got.data] == ["access_terminated_error"]
    whole = await ask(script=scripted(error_after=0, refuse="five_hour_quota"))
    assert (whole.status, whole.json["error"]["type"]) == (200, "access_terminated_error")


async def test_a_fault_beyond_the_end_has_no_effect_and_one_at_the_end_comes_before_done(ask):
    beyond = await ask(script=scripted(close_after=99, malformed_after=99), stream=True)
    at_end = await ask(script=scripted(close_after=STREAMED - 1), stream=True)
    assert beyond.data[-1] == "[DONE]"
    assert len(beyond.data) == STREAMED
    assert len(at_end.data) == STREAMED - 1


async def test_of_two_faults_the_earlier_one_happens(ask):
    got = await ask(script=scripted(close_after=5, error_after=2), stream=True)
    assert "error" in got.data[2]
    assert len(got.data) == 3


@pytest.mark.parametrize("stream", [True, False])
async def test_writes_really_arrive_apart(sim, stream):
    sim.enqueue(SAID)
    together = b"".join(await raw_reads(sim, stream=stream))
    sim.enqueue(scripted(split=1))
    apart = await raw_reads(sim, stream=stream)
    head = apart.index(next(read for read in apart if len(read) == 1))
    body = apart[head:]
    assert len(b"".join(apart)) == len(together)
    assert sum(len(read) == 1 for read in body) > 0.98 * sum(map(len, body))
    assert "世".encode() not in body
    assert "世".encode() in b"".join(body)


async def test_split_bounds_the_size_of_a_write(ask):
    got = await ask(script=scripted(split=7), stream=True)
    assert got.joined("content") == SAID.text


async def test_comments_stand_between_the_chunks(ask):
    got = await ask(script=scripted(comments=True), stream=True)
    assert got.raw.count(b": simulated\n\n") == STREAMED - 1
    assert got.joined("content") == SAID.text


async def test_lines_can_end_in_crlf(ask):
    got = await ask(script=scripted(crlf=True, comments=True), stream=True)
    assert got.raw.count(b"\r\n\r\n") == 2 * STREAMED - 1
    assert b"\n" not in got.raw.replace(b"\r\n", b"")
    assert got.joined("content") == SAID.text


async def test_json_can_come_where_a_stream_was_asked_and_the_other_way_round(ask):
    whole = await ask(script=scripted(answer_as="whole"), stream=True)
    stream = await ask(script=scripted(answer_as="stream"))
    assert whole.json["choices"][0]["message"]["content"] == SAID.text
    assert whole.headers["Content-Type"].startswith("application/json")
    assert stream.joined("content") == SAID.text
    assert stream.headers["Content-Type"] == "text/event-stream"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("where", ["silent_before_headers", "silent_before_first_chunk", "pause"])
async def test_silences_are_kept(ask, where, stream):
    start = time.monotonic()
    got = await ask(script=scripted(**{where: 0.04}), stream=stream)
    assert got.status == 200
    assert time.monotonic() - start >= (0.04 * 4 if where == "pause" else 0.04)


async def test_silence_before_the_first_chunk_comes_after_the_headers(sim):
    sim.enqueue(scripted(silent_before_first_chunk=30))
    reader, writer = await raw_request(sim, stream=True)
    assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.05)
    writer.close()
    await writer.wait_closed()


async def test_the_body_stays_open_after_done(sim):
    sim.enqueue(scripted(hold_open_after_done=30))
    reader, writer = await raw_request(sim, stream=True)
    await asyncio.wait_for(reader.readuntil(b"[DONE]\n\n\r\n"), 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.05)
    assert sim.open == 1
    assert sim.seen[-1].ended == "answered"
    writer.close()
    await asyncio.wait_for(sim.settled(), 0.25)
    assert sim.seen[-1].ended == "answered"
    assert sim.seen[-1].hung_up_at is not None


async def test_refusals_have_faults_too(ask, sim):
    start = time.monotonic()
    got = await ask(script=Script(refuse="engine_overloaded", silent_before_headers=0.05, split=3))
    assert got.status == 429
    assert time.monotonic() - start >= 0.05
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(script=Script(refuse="engine_overloaded", cut_after=1))


async def test_old_http_gets_a_stream_without_chunks(sim):
    sim.enqueue(SAID)
    told = b"".join(await raw_reads(sim, stream=True, version="1.0"))
    assert told.endswith(b"\n\ndata: [DONE]\n\n")
    assert b"chunked" not in told


HANG_UPS = {
    "before the headers": Script(silent_before_headers=30),
    "before the first chunk": Script(silent_before_first_chunk=30),
    "mid-stream, stalled": scripted(stall_after=3),
    "mid-stream, pausing": scripted(pause=30),
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("script", HANG_UPS.values(), ids=HANG_UPS.keys())
async def test_a_hang_up_is_noticed_within_a_quarter_of_a_second(sim, script, stream):
    sim.enqueue(script)
    _, writer = await raw_request(sim, stream=stream)
    await asyncio.sleep(0.05)
    assert (sim.open, sim.connections, sim.seen[-1].ended) == (1, 1, None)
    gone = time.monotonic()
    writer.close()
    await asyncio.wait_for(sim.settled(), 0.25)
    assert sim.seen[-1].ended == "hung_up"
    assert gone <= sim.seen[-1].hung_up_at <= gone + 0.25
    assert sim.seen[-1].ended_at == sim.seen[-1].hung_up_at


async def test_only_what_was_told_is_billed_when_the_client_goes(sim):
    sim.enqueue(Script(text="x" * 4000, piece=400, stall_after=6))  # role, then half of ten pieces
    _, writer = await raw_request(sim, stream=True)
    await asyncio.sleep(0.05)
    writer.close()
    await sim.settled()
    assert sim.seen[-1].billed.prompt == 1
    assert 400 <= sim.seen[-1].billed.completion <= 500


async def test_leaving_the_scope_does_not_wait_for_stalled_answers():
    async with simulator() as sim:
        sim.enqueue(scripted(stall_after=1))
        sim.enqueue(Script(silent_before_headers=600))
        writers = [(await raw_request(sim, stream=True))[1] for _ in range(2)]
        await asyncio.sleep(0.05)
        assert sim.open == 2
        left = time.monotonic()
    assert time.monotonic() - left < 0.5
    assert [seen.ended for seen in sim.seen] == ["cut", "cut"]
    for writer in writers:
        writer.close()


async def test_a_slow_reader_gets_everything_before_the_cut(sim):
    sim.enqueue(Script(text="x" * 3_000_000, piece=1_000_000, cut_after=4))
    reader, writer = await raw_request(sim, stream=True)
    await asyncio.sleep(0.1)
    told = await reader.read()
    assert told.count(b"x") >= 3_000_000
    assert b"[DONE]" not in told
    writer.close()
