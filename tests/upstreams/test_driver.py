"""How long a reply is waited for, when it counts as whole, and what is told of one that breaks."""

import asyncio

import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.core.events import BlockDelta, Ended, Usage
from moongate.upstreams.driver import LINGER, REFUSAL_LIMIT, Deadlines, run
from moongate.wire.http import Flow, HttpCall, HttpHead, HttpReply
from scripted import CREDENTIAL, JSON, PLATFORM, Heard, Played, Stage, asked, conversed, hear, patiently, turned

WORD = b'data: {"id":"a","model":"m","created":1,"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
FINISH = b'data: {"id":"a","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
COSTS = b'data: {"id":"a","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
DONE = b"data: [DONE]\n\n"
COMMENT = b": still here\n\n"
GARBAGE = b"data: {garbage}\n\n"
ERROR = b'data: {"error":{"message":"it broke","type":"server_error"}}\n\n'
WHOLE = b'{"id":"a","choices":[{"message":{"content":"word "},"finish_reason":"stop"}]}'


def words(heard: Heard) -> str:
    return "".join(event.text for event in heard.events if isinstance(event, BlockDelta))


# Deadlines, on a clock that leaps.


def test_the_first_byte_has_its_own_deadline() -> None:
    heard, seconds = patiently(hear(Played(40.0, WORD), first_byte=30, stall=5))
    assert (heard.failure and heard.failure.kind, seconds) == (Kind.TIMED_OUT, 30)
    heard, _ = patiently(hear(Played(29.0, WORD, FINISH, DONE), first_byte=30, stall=5))
    assert heard.failure is None


def test_a_late_head_is_a_late_first_byte() -> None:
    heard, seconds = patiently(hear(Played(WORD, late=31), first_byte=30))
    assert (heard.failure and heard.failure.kind, seconds) == (Kind.TIMED_OUT, 30)
    assert not heard.packets
    heard, seconds = patiently(hear(Played(20.0, WORD, late=20), first_byte=30))
    assert (heard.failure and heard.failure.kind, seconds) == (Kind.TIMED_OUT, 30)


def test_a_refusal_that_never_ends_meets_the_first_deadline() -> None:
    heard, seconds = patiently(hear(Played(b"{", 40.0, b"}", status=429, headers=JSON), first_byte=30))
    assert (heard.failure and heard.failure.kind, seconds) == (Kind.TIMED_OUT, 30)


def test_silence_between_two_bytes_has_a_deadline() -> None:
    heard, seconds = patiently(hear(Played(WORD, 4.0, WORD, 6.0, FINISH), stall=5))
    assert (heard.failure and heard.failure.kind, seconds) == (Kind.TIMED_OUT, 9)
    assert words(heard) == "word word "


def test_a_sign_of_life_counts_as_a_byte() -> None:
    heard, _ = patiently(hear(Played(WORD, 4.0, COMMENT, 4.0, COMMENT, 4.0, FINISH, DONE), stall=5))
    assert heard.failure is None


def test_a_drip_without_end_meets_the_total_deadline() -> None:
    heard, seconds = patiently(hear(Played(*[1.0, WORD] * 100), stall=5, total=10.5))
    assert (heard.failure and heard.failure.kind, seconds) == (Kind.OUT_OF_TIME, 10.5)
    assert words(heard) == "word " * 10


def test_the_total_deadline_holds_before_the_first_byte_too() -> None:
    heard, seconds = patiently(hear(Played(WORD, late=40), first_byte=30, total=10))
    assert (heard.failure and heard.failure.kind, seconds) == (Kind.OUT_OF_TIME, 10)


def test_a_slow_reader_is_not_taken_for_a_silent_upstream() -> None:
    async def read_slowly() -> list[object]:
        deadlines = Deadlines(1, 5, 1e9)
        told: list[object] = []
        stage = Stage(Played(WORD, 1.0, WORD, 1.0, FINISH, DONE))
        async with conversed(turned(asked()), stage, deadlines) as spoken:
            async for packet in spoken.packets:
                told += packet.events
                await asyncio.sleep(60)
        return told

    told, _ = patiently(read_slowly())
    assert isinstance(told[-1], Ended)


@pytest.mark.parametrize("deadline", ["first_byte", "stall", "total"])
async def test_deadlines_hold_on_a_real_clock(deadline: str) -> None:
    began = asyncio.get_running_loop().time()
    steps = (5.0,) if deadline == "first_byte" else (WORD, 5.0)
    heard = await hear(Played(*steps), **{deadline: 0.03})
    assert heard.failure
    assert heard.failure.kind is (Kind.OUT_OF_TIME if deadline == "total" else Kind.TIMED_OUT)
    assert 0.03 <= asyncio.get_running_loop().time() - began < 1


# What has given its reason to stop is whole.


@pytest.mark.parametrize("how", ["closed", "broken", "unreachable", "silent"])
def test_what_breaks_after_the_reason_to_stop_is_whole(how: str) -> None:
    then = {
        "closed": (),
        "broken": (GatewayError.truncated(),),
        "unreachable": (GatewayError(Kind.UNREACHABLE, "reset"),),
        "silent": (100.0,),
    }
    heard, _ = patiently(hear(Played(WORD, FINISH, *then[how]), stall=5))
    assert heard.failure is None
    assert heard.events[-1] == Ended("stop")
    assert heard.packets[-1].raw == b""


@pytest.mark.parametrize("how", ["closed", "broken", "silent"])
def test_what_breaks_before_the_reason_to_stop_is_not(how: str) -> None:
    then = {"closed": (), "broken": (GatewayError.truncated(),), "silent": (100.0,)}
    heard, _ = patiently(hear(Played(WORD, *then[how]), stall=5))
    assert heard.failure
    assert heard.failure.kind is (Kind.TIMED_OUT if how == "silent" else Kind.TRUNCATED)
    assert words(heard) == "word "


def test_silence_after_the_reason_to_stop_is_not_waited_for_long() -> None:
    heard, seconds = patiently(hear(Played(WORD, FINISH, 1000.0, DONE), stall=500))
    assert heard.failure is None
    assert seconds == LINGER


def test_what_still_comes_after_the_reason_to_stop_is_told() -> None:
    heard, _ = patiently(hear(Played(WORD, FINISH, LINGER - 1, COSTS, DONE)))
    assert heard.events[-1] == Ended("stop", Usage(3, 4))
    assert heard.raw == WORD + FINISH + COSTS + DONE


def test_signs_of_life_after_the_reason_to_stop_do_not_prolong_it() -> None:
    heard, seconds = patiently(hear(Played(WORD, FINISH, *[LINGER - 1, COMMENT] * 50, DONE)))
    assert heard.failure is None
    assert seconds <= LINGER


def test_the_end_that_the_upstream_told_is_the_end() -> None:
    heard, seconds = patiently(hear(Played(WORD, FINISH, DONE, 1000.0, GARBAGE)))
    assert (heard.failure, seconds) == (None, 0)
    assert heard.raw.endswith(DONE)


# How failures are told.


@pytest.mark.parametrize("bad", [GARBAGE, ERROR])
def test_what_came_before_a_failure_in_the_same_read_is_told(bad: bytes) -> None:
    heard, _ = patiently(hear(Played(WORD + WORD + bad + WORD)))
    assert heard.failure
    assert heard.failure.kind is (Kind.PROTOCOL if bad == GARBAGE else Kind.FAILED)
    assert words(heard) == "word word "
    assert heard.raw == WORD + WORD


@pytest.mark.parametrize("bad", [GARBAGE, ERROR, b"data: \n\n"], ids=["garbage", "error", "empty"])
def test_what_follows_the_end_does_not_matter_however_it_arrives(bad: bytes) -> None:
    apart, _ = patiently(hear(Played(WORD, FINISH, DONE, bad)))
    together, _ = patiently(hear(Played(WORD + FINISH + DONE + bad)))
    assert apart.failure is None
    assert together.failure is None


def test_garbage_after_the_reason_to_stop_is_forgiven_as_a_cut_is() -> None:
    heard, _ = patiently(hear(Played(WORD, FINISH, GARBAGE)))
    assert heard.failure is None
    assert heard.events[-1] == Ended("stop")


def test_a_terminator_after_an_unfinished_answer_is_not_told() -> None:
    heard, _ = patiently(hear(Played(WORD + DONE)))
    assert heard.failure
    assert heard.failure.kind is Kind.TRUNCATED
    assert heard.raw == WORD


@pytest.mark.parametrize("status", [301, 400, 429, 500])
async def test_anything_but_success_is_explained(status: int) -> None:
    body = b'{"error":{"message":"because sk-example-of-the-operator","type":"t"}}'
    heard = await hear(Played(body[:20], body[20:], status=status, headers=JSON))
    assert heard.failure
    assert heard.failure.message.startswith("because [redacted]")
    assert heard.failure.upstream_status == status
    assert not heard.packets


async def test_of_an_endless_refusal_only_a_part_is_read() -> None:
    block = b"x" * 65536
    incoming = Played(*[block] * (4 * REFUSAL_LIMIT // len(block)), status=500, headers={})
    heard = await hear(incoming)
    assert heard.failure
    assert heard.failure.kind is Kind.FAILED
    left = 0
    while await incoming.read():
        left += len(block)
    assert left > 2 * REFUSAL_LIMIT


async def test_a_page_instead_of_a_reply_is_a_failure() -> None:
    heard = await hear(Played(b"<html>", headers={"content-type": "text/html"}))
    assert heard.failure
    assert heard.failure.kind is Kind.PROTOCOL


@pytest.mark.parametrize(("headers", "body", "streamed"), [(JSON, WHOLE, False), (None, WORD + FINISH, True)])
async def test_whether_a_reply_is_streamed_is_told(headers: dict[str, str] | None, body: bytes, streamed: bool) -> None:
    incoming = Played(body, headers=headers) if headers else Played(body)
    stage = Stage(incoming)
    deadlines = Deadlines(*[asyncio.get_running_loop().time() + 5] * 3)
    async with conversed(turned(asked()), stage, deadlines) as spoken:
        assert spoken.streamed is streamed
        assert stage.open == 1
        packets = [packet async for packet in spoken.packets]
    assert packets[0].raw == body
    assert stage.open == 0


@pytest.mark.parametrize("replies", [(GatewayError(Kind.UNREACHABLE, "no"),), (Played(b"", status=500, headers={}),)])
async def test_nothing_stays_open_where_it_could_not_begin(replies: tuple[Played | GatewayError, ...]) -> None:
    stage = Stage(*replies)
    deadlines = Deadlines(*[asyncio.get_running_loop().time() + 5] * 3)
    with pytest.raises(GatewayError):
        async with conversed(turned(asked()), stage, deadlines):
            pass
    assert stage.open == 0


async def test_a_caller_who_leaves_in_the_middle_lets_the_upstream_go() -> None:
    stage = Stage(Played(WORD, 1000.0))
    said = asyncio.Event()

    async def listen() -> None:
        now = asyncio.get_running_loop().time()
        deadlines = Deadlines(now + 500, 500, now + 500)
        async with conversed(turned(asked()), stage, deadlines) as spoken:
            async for _ in spoken.packets:
                said.set()

    task = asyncio.create_task(listen())
    await said.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stage.open == 0


# Flows.


async def test_a_flow_is_carried_to_its_result() -> None:
    def flow() -> Flow[bytes]:
        first = yield HttpCall("GET", "https://x/1")
        second = yield HttpCall("GET", "https://x/2")
        return first.body + second.body

    stage = Stage(Played(b"a", b"b"), Played(b"c"))
    assert await run(flow(), stage) == b"abc"
    assert [call.url for call in stage.calls] == ["https://x/1", "https://x/2"]


async def test_a_flow_whose_call_fails_is_closed() -> None:
    closed = []

    def flow() -> Flow[None]:
        try:
            yield HttpCall("GET", "https://x/1")
        finally:
            closed.append(True)

    with pytest.raises(GatewayError):
        await run(flow(), Stage(GatewayError(Kind.UNREACHABLE, "no")))
    assert closed


def test_a_flow_is_driven_by_hand_without_a_network() -> None:
    flow = PLATFORM.models(CREDENTIAL)
    call = next(flow)
    assert (call.method, call.url) == ("GET", "https://platform.example/v1/models")
    with pytest.raises(StopIteration) as stop:
        flow.send(HttpReply(HttpHead(200), b'{"data":[{"id":"kimi-k3"}]}'))
    assert [model.id for model in stop.value.value] == ["kimi-k3"]
