"""Accounts are tried until one says its first word, and none after it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.core.events import Ended, Event, Usage
from moongate.core.exchange import Exchange
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.core.tally import Cost
from moongate.dispatch import Dispatch, Patience
from moongate.pool.account import Account
from moongate.pool.credentials import FixedKey
from moongate.pool.pool import Pool
from moongate.upstreams.moonshot import moonshot
from moongate.wire.http import HttpCall
from scripted import JSON, PLATFORM, Played, Stage, asked, patiently, turned

GREETING = b'data: {"id":"a","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
WORD = b'data: {"id":"a","choices":[{"index":0,"delta":{"content":"word"}}]}\n\n'
END = b'data: {"id":"a","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
WHOLE = (GREETING, WORD, END)
K3, K26 = Route("moonshot", "kimi-k3"), Route("moonshot", "kimi-k2.6")
BUSY = GatewayError(Kind.UNREACHABLE, "nobody there")
PATIENCE = Patience(first_byte_stream=30, first_byte_whole=300, stall=60, total=600, retries=3, queue=30)


def refusal(status: int, message: str = "no") -> Played:
    return Played(b'{"error":{"message":"%s"}}' % message.encode(), status=status, headers=JSON)


METERED = (
    b'data: {"id":"a","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}\n\ndata: [DONE]\n\n'
)


def in_band_401() -> bytes:
    return b'data: {"error":{"message":"Invalid Authentication","type":"invalid_authentication_error"}}\n\n'


def in_band(message: str) -> Played:
    return Played(GREETING, b'data: {"error":{"message":"%s"}}\n\n' % message.encode())


class Told:
    """What a request came to."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.events: list[Event] = []
        self.failure: GatewayError | None = None
        self.seconds = 0.0

    @property
    def is_whole(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], Ended)


class Play:
    """A dispatch over a pool of accounts `a`, `b` … at one upstream that plays these replies in order."""

    def __init__(self, *replies: Played | GatewayError, accounts: int = 2, patience: Patience = PATIENCE) -> None:
        self.stage = Stage(*replies)
        names = "abcdef"[:accounts]
        self.pool = Pool(Account(name, PLATFORM, FixedKey(Sealed(f"sk-example-{name}"))) for name in names)
        self.exchange = Exchange("r", "POST", "/", 0.0)
        self.dispatch = Dispatch(self.pool, self.stage, patience)

    def ask(
        self, routes: Sequence[Route] = (K3,), own: tuple[Account, ...] = (), *, whole: bool = False, **fields: object
    ) -> Told:
        told = Told()

        async def listen() -> None:
            try:
                async with self.dispatch(turned(asked(**fields)), routes, own, self.exchange, whole=whole) as speaking:
                    async for packet in speaking:
                        told.raw.append(packet.raw)
                        told.events += packet.events
            except GatewayError as error:
                told.failure = error

        _, told.seconds = patiently(listen())
        assert self.stage.open == 0
        assert self.pool.statistics().leased == 0
        return told

    @property
    def tried(self) -> str:
        return "".join(attempt.account for attempt in self.exchange.attempts)


def test_the_first_account_that_speaks_answers() -> None:
    play = Play(Played(*WHOLE))
    told = play.ask()
    assert b"".join(told.raw) == b"".join(WHOLE)
    assert told.is_whole
    assert (play.tried, play.exchange.account, play.exchange.route) == ("a", "a", K3)


@pytest.mark.parametrize(
    "bad",
    [refusal(429, "slow down"), refusal(401), refusal(403), in_band("it broke"), Played(GREETING), BUSY],
    ids=["limited", "bad key", "barred", "refused after a greeting", "cut after a greeting", "unreachable"],
)
def test_what_fails_before_the_first_word_leaves_no_trace_in_the_answer(bad: Played | GatewayError) -> None:
    play = Play(bad, Played(*WHOLE))
    told = play.ask()
    assert told.failure is None
    assert b"".join(told.raw) == b"".join(WHOLE)
    assert [attempt.error for attempt in play.exchange.attempts][-1:] == [""]
    assert len(play.exchange.attempts) == 2


def test_an_account_that_was_refused_is_not_tried_again() -> None:
    play = Play(refusal(401), refusal(429), Played(*WHOLE), accounts=3)
    assert play.ask().is_whole
    assert play.tried == "abc"


def test_when_all_were_refused_the_last_refusal_is_told() -> None:
    play = Play(refusal(401), refusal(403, "go away"))
    failure = play.ask().failure
    assert failure
    assert (failure.kind, failure.message) == (Kind.ACCOUNT_BARRED, "go away")
    assert play.tried == "ab"


def test_a_limit_is_waited_for_where_nobody_else_is() -> None:
    play = Play(refusal(401), refusal(429, "try again after 3 seconds"), Played(*WHOLE))
    told = play.ask()
    assert told.is_whole
    assert (play.tried, told.seconds) == ("abb", pytest.approx(3))
    assert play.exchange.waited == pytest.approx(3)


def test_a_limit_of_the_callers_own_account_is_kept_to_as_well() -> None:
    own = (Account("own#1", PLATFORM, FixedKey(Sealed("sk-example-x")), is_callers=True),)
    play = Play(refusal(429, "try again after 3 seconds"), Played(*WHOLE))
    told = play.ask(own=own)
    assert told.is_whole
    assert told.seconds == pytest.approx(3)


def test_a_limit_that_lasts_too_long_is_told_with_its_end() -> None:
    play = Play(refusal(429, "try again after 40 seconds"), accounts=1)
    told = play.ask()
    assert told.failure
    assert (told.failure.kind, told.failure.retry_after, told.seconds) == (Kind.RATE_LIMITED, 40, 0)


def test_who_hears_nothing_before_the_end_is_answered_whole_though_a_reply_broke_late() -> None:
    play = Play(Played(GREETING, WORD, GatewayError.truncated()), Played(*WHOLE))
    told = play.ask(whole=True)
    assert told.is_whole
    assert b"".join(told.raw) == b"".join(WHOLE)
    assert play.tried == "ab"


def test_an_account_whose_reply_was_heard_to_its_end_is_free_before_it_is_told() -> None:
    play = Play(Played(*WHOLE))

    async def listen() -> None:
        async with play.dispatch(turned(asked()), [K3], (), play.exchange, whole=True) as speaking:
            assert play.pool.statistics().leased == play.stage.open == 0
            assert [packet.raw async for packet in speaking] == list(WHOLE)

    patiently(listen())


def test_what_would_fail_anywhere_is_tried_once() -> None:
    play = Play(refusal(400), Played(*WHOLE))
    failure = play.ask().failure
    assert failure
    assert failure.kind is Kind.REQUEST_REFUSED
    assert len(play.stage.calls) == 1


def test_after_the_first_word_there_is_no_going_back() -> None:
    play = Play(Played(GREETING, WORD, GatewayError.truncated()), Played(*WHOLE))
    told = play.ask()
    assert told.failure
    assert told.failure.kind is Kind.TRUNCATED
    assert b"".join(told.raw) == GREETING + WORD
    assert len(play.stage.calls) == 1


def test_the_network_is_tried_again_after_a_pause_that_grows() -> None:
    play = Play(BUSY, BUSY, BUSY, Played(*WHOLE), accounts=1)
    told = play.ask()
    assert told.is_whole
    assert play.tried == "aaaa"
    assert told.seconds == pytest.approx(0.2 + 1 + 2)  # a pause of the request, then two rests of the account


def test_there_are_only_so_many_attempts() -> None:
    play = Play(*[BUSY] * 9, patience=Patience(30, 300, 60, 600, retries=2))
    failure = play.ask().failure
    assert failure
    assert failure.kind is Kind.UNREACHABLE
    assert len(play.stage.calls) == 3


def test_pauses_keep_within_the_total_time() -> None:
    play = Play(*[BUSY] * 21, patience=Patience(30, 300, 60, 60, retries=20))
    assert play.ask().seconds <= 60


def test_a_route_that_is_refused_is_followed_by_the_next_at_the_same_account() -> None:
    """The operator's rows say so: tried in this order."""
    play = Play(refusal(404, "Not found the model kimi-k3 or Permission denied"), Played(*WHOLE), accounts=1)
    assert play.ask([K3, K26]).is_whole
    assert play.exchange.route == K26


def test_routes_are_tried_in_their_order() -> None:
    play = Play(Played(*WHOLE))
    assert play.ask([Route("nobody", "x"), K26, K3]).is_whole
    assert play.exchange.route == K26


def test_nobody_to_ask_is_no_account() -> None:
    play = Play()
    failure = play.ask([Route("nobody", "x")]).failure
    assert failure
    assert failure.kind is Kind.NO_ACCOUNT
    assert play.exchange.attempts == []


@pytest.mark.parametrize(("stream", "seconds"), [(True, 30), (False, 300)])
def test_a_whole_reply_is_waited_for_longer_than_a_streams_first_byte(stream: bool, seconds: float) -> None:
    play = Play(Played(*WHOLE, late=1000), patience=Patience(30, 300, 60, 600, retries=0))
    told = play.ask(stream=stream)
    assert told.failure
    assert (told.failure.kind, told.seconds) == (Kind.TIMED_OUT, seconds)


def test_all_attempts_share_the_total_time() -> None:
    play = Play(*[Played(*WHOLE, late=1000)] * 4, accounts=4, patience=Patience(30, 300, 60, 70, retries=3))
    told = play.ask()
    assert told.failure
    assert told.seconds == 70


@pytest.mark.parametrize(("is_callers", "status"), [(False, 502), (True, 401)])
def test_a_bad_key_is_the_fault_of_whoever_brought_it(is_callers: bool, status: int) -> None:
    own = (Account("own#1", PLATFORM, FixedKey(Sealed("sk-example-x")), is_callers=True),) if is_callers else ()
    failure = Play(refusal(401), accounts=1).ask(own=own).failure
    assert failure
    assert (failure.kind, failure.status, failure.upstream_status) == (Kind.CREDENTIAL_REFUSED, status, 401)


def test_what_was_changed_and_whom_to_ask_about_it_is_noted() -> None:
    headers = {"content-type": "text/event-stream", "x-request-id": "second", "x-trace-id": "t" * 200}
    play = Play(refusal(429), Played(*WHOLE, headers=headers))
    body = b'{"messages":[{"role":"user"}],"temperature":0}'
    assert play.ask([Route("moonshot", "kimi-k3", note="as was asked")], body=body).is_whole
    assert play.exchange.notes == ["as was asked", "temperature left out: kimi-k3 takes only 1"]
    assert play.exchange.upstream_id == "t" * 128
    first, second = play.exchange.attempts
    assert (first.account, first.error, first.upstream_status) == ("a", "rate_limited", 429)
    assert (second.account, second.error, second.route) == ("b", "", "moonshot/kimi-k3")


def test_upstreams_are_told_apart_by_name() -> None:
    other = Account("o", moonshot("https://o/v1", "test", "simulator"), FixedKey(Sealed("x")))
    play = Play(Played(*WHOLE))
    play.pool.adopt([*play.pool.accounts, other])
    assert play.ask([Route("simulator", "kimi-k3")]).is_whole
    assert play.stage.calls[0].url == "https://o/v1/chat/completions"


def test_when_all_attempts_are_used_up_it_is_told_when_an_account_may_be_back() -> None:
    play = Play(*[refusal(529, "overloaded")] * 4, accounts=1, patience=Patience(30, 300, 60, 600, retries=3, queue=30))
    told = play.ask()
    assert told.failure
    assert (told.failure.kind, told.failure.retry_after) == (Kind.OVERLOADED, pytest.approx(8))


class Renewing:
    """A login whose first token is refused."""

    shown = ""

    async def token(self) -> Sealed:
        return Sealed("sk-example-old")

    async def renewed(self, refused: Sealed) -> Sealed | None:
        return Sealed("sk-example-new")


def test_both_attempts_of_a_login_that_is_refused_in_the_middle_count() -> None:
    long = b'data: {"id":"a","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % (b"x" * 3000)
    play = Play(Played(GREETING, long, in_band_401()), Played(GREETING, WORD, METERED))
    play.pool.adopt([Account("a", PLATFORM, Renewing(), tpm=10_000)])
    assert play.ask(whole=True).is_whole
    assert [(attempt.error, attempt.cost and attempt.cost.tokens) for attempt in play.exchange.attempts] == [
        ("credential_refused", 1015),
        ("", None),
    ]
    assert play.exchange.cost == Cost(Usage(10, 5))
    assert play.stage.most_open == 1
    limits = play.pool.states[0].limits
    assert limits.opens(10_000 - 1015 - 15, 0.0) == 0.0
    assert limits.opens(10_000 - 1015 - 14, 0.0) > 0.0


def test_a_refusal_costs_nothing_of_the_minute() -> None:
    play = Play(*[refusal(429)] * 4, accounts=1)
    play.pool.adopt([Account("a", PLATFORM, FixedKey(Sealed("sk-example-a")), tpm=10_000)])
    assert play.ask().failure
    assert play.pool.states[0].limits.opens(10_000, 0.0) == 0.0


def test_a_refused_login_leaves_the_estimate_of_the_reply_after_it() -> None:
    play = Play(refusal(401), Played(*WHOLE))
    play.pool.adopt([Account("a", PLATFORM, Renewing(), tpm=10_000)])
    assert play.ask().is_whole  # and nothing is told of its tokens
    limits = play.pool.states[0].limits
    assert limits.opens(10_000, 0.0) > 0.0


def test_a_bug_in_an_attempt_is_told_with_what_it_has_cost() -> None:
    play = Play(Played(GREETING, WORD, cast("GatewayError", ValueError("bug"))), accounts=1)
    with pytest.raises(ValueError, match="bug"):
        play.ask(whole=True)
    (attempt,) = play.exchange.attempts
    assert (attempt.error, attempt.cost is not None and attempt.cost.is_estimate) == ("internal", True)
    assert play.pool.statistics().leased == 0


def test_what_a_whole_reply_cost_is_known_though_its_caller_leaves_while_it_is_let_go() -> None:
    class Slow(Stage):
        @asynccontextmanager
        async def stream(self, call: HttpCall) -> AsyncIterator[Played]:
            async with super().stream(call) as reply:
                try:
                    yield reply
                finally:
                    await asyncio.sleep(1)

    play = Play()
    dispatch = Dispatch(play.pool, Slow(Played(GREETING, WORD, METERED)), PATIENCE)

    async def leave() -> None:
        async def listen() -> None:
            async with dispatch(turned(asked()), (K3,), (), play.exchange, whole=True):
                raise AssertionError("too soon")

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.5)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    patiently(leave())
    assert play.exchange.cost == Cost(Usage(10, 5))
    assert play.pool.statistics().leased == 0
