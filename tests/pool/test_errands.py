"""Errands outlive the request they follow from: each for a bounded time, not too many at once, and failing quietly."""

import asyncio

import structlog

from moongate.core.errors import GatewayError, Kind
from moongate.core.sealed import Sealed
from moongate.pool import errands
from moongate.pool.errands import Errand, Errands
from moongate.wire.http import Flow, HttpCall
from pooling import account, play
from scripted import JSON, Played, Stage

ADA = account("ada")


def errand(done: list[str], name: str) -> tuple[str, Errand]:
    def flow(credential: Sealed) -> Flow[None]:
        reply = yield HttpCall("POST", f"https://site.example/{name}")
        if reply.head.status != 200:
            raise GatewayError(Kind.FAILED, f"{name} was refused")
        done.append(f"{name} by {credential!r}")

    return name, flow


def test_they_are_run_one_after_the_other_with_the_accounts_credential() -> None:
    async def act() -> None:
        done: list[str] = []
        of = Errands(Stage(Played(headers=JSON), Played(headers=JSON)))
        task = of.run(ADA, errand(done, "stop"), errand(done, "forget"))
        assert task is not None
        await task
        assert done == ["stop by …-ada", "forget by …-ada"]
        assert len(of) == 0

    play(act())


def test_one_that_fails_is_logged_and_the_next_is_run_all_the_same() -> None:
    async def act() -> None:
        done: list[str] = []
        refused = GatewayError(Kind.UNREACHABLE, "nobody there")
        of = Errands(Stage(refused, Played(headers=JSON, status=500), Played(headers=JSON)))
        with structlog.testing.capture_logs() as log:
            task = of.run(ADA, *(errand(done, name) for name in ("stop", "pause", "forget")))
            assert task is not None
            await task
        assert done == ["forget by …-ada"]
        assert [(entry["errand"], entry["reason"]) for entry in log] == [
            ("stop", "nobody there"),
            ("pause", "pause was refused"),
        ]

    play(act())


def test_none_takes_longer_than_it_may() -> None:
    async def act() -> None:
        done: list[str] = []
        of = Errands(Stage(Played(headers=JSON, late=1e6)))
        task = of.run(ADA, errand(done, "stop"))
        assert task is not None
        with structlog.testing.capture_logs() as log:
            await task
        assert done == []
        assert "not done within" in log[0]["reason"]

    assert play(act()) == errands.LONGEST


def test_no_more_than_so_many_are_under_way() -> None:
    async def act() -> None:
        of = Errands(Stage(*(Played(headers=JSON, late=1) for _ in range(errands.MOST))))
        begun = [of.run(ADA, errand([], "stop")) for _ in range(errands.MOST + 1)]
        assert begun[-1] is None
        assert all(task is not None for task in begun[:-1])
        await of.close()
        assert len(of) == 0

    play(act())


def test_nothing_to_do_is_no_errand() -> None:
    async def act() -> None:
        assert Errands(Stage()).run(ADA) is None

    play(act())


def test_at_the_end_they_have_a_few_seconds_and_are_then_given_up() -> None:
    async def act() -> None:
        done: list[str] = []
        of = Errands(Stage(Played(headers=JSON, late=2), Played(headers=JSON, late=15)))
        of.run(ADA, errand(done, "quick"))
        of.run(ADA, errand(done, "slow"))
        await asyncio.sleep(0)
        await of.close(within=5)
        assert done == ["quick by …-ada"]
        assert len(of) == 0

    assert play(act()) == 5
