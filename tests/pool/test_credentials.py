"""Logins that renew themselves: once for all who ask, across tasks and processes, and never lost on the way."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import structlog

from harness import until
from moongate.core.errors import GatewayError, Kind
from moongate.core.grant import Grant
from moongate.core.sealed import Sealed
from moongate.pool.credentials import Credential, FixedKey
from moongate.pool.login import Login, Pauses, is_due
from moongate.simulator import Simulator
from moongate.storage.grants import GrantFile, file_of
from moongate.storage.seal import Seal
from moongate.upstreams.driver import Incoming
from moongate.upstreams.kimi_code.login import Identity, renew
from moongate.upstreams.transport import AiohttpTransport
from moongate.wire.http import HttpCall, HttpHead, HttpReply

HOST = "https://auth.example.com"
QUICK = Pauses(tries=(0.01, 0.01), second_look=0.01, breather=0.05, farewell=0.3)
AGAIN = "run `moongate login kimi-code --name work`"


class Vendor:
    """A transport to a login server that renews the latest grant only, as the real one does.

    `now` is everybody's clock. `fails`: the replies to come before it works again. `gate`: closed, it answers nobody.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.lifetime = 900.0
        self.issued = 1
        self.asked = 0
        self.fails: list[HttpReply | GatewayError] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_revoked = False

    def clock(self) -> float:
        return self.now

    def grant(self) -> Grant:
        """The latest."""
        return Grant(
            Sealed(f"at-example-token-{self.issued}"),
            Sealed(f"rt-example-{self.issued}"),
            self.now + self.lifetime,
            self.lifetime,
            "device",
        )

    async def fetch(self, call: HttpCall) -> HttpReply:
        self.asked += 1
        await asyncio.sleep(0)
        await self.gate.wait()
        if self.fails:
            failure = self.fails.pop(0)
            if isinstance(failure, GatewayError):
                raise failure
            return failure
        sent = parse_qs(call.body.decode())["refresh_token"][0]
        if self.is_revoked or sent != f"rt-example-{self.issued}":
            return reply(400, {"error": "invalid_grant", "error_description": "The provided grant is invalid"})
        self.issued += 1
        return reply(
            200,
            {
                "access_token": f"at-example-token-{self.issued}",
                "refresh_token": f"rt-example-{self.issued}",
                "expires_in": self.lifetime,
            },
        )

    def stream(self, call: HttpCall) -> AbstractAsyncContextManager[Incoming]:
        raise NotImplementedError


class Shelf:
    """A store in memory that can be made to fail."""

    name = "work"

    def __init__(self, grant: Grant | None = None) -> None:
        self.grant = grant
        self.is_full = self.is_lost = self.has_no_lock = self.is_foreign = False
        self.saved: list[Grant] = []
        self.before_save: Callable[[], None] = lambda: None

    def load(self) -> Grant | None:
        if self.is_lost:
            raise OSError("cannot be read")
        if self.is_foreign:
            raise ValueError("it is sealed with another MOONGATE_SECRET")
        return self.grant

    def save(self, grant: Grant) -> None:
        self.before_save()
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.grant = grant
        self.saved.append(grant)

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        if self.has_no_lock:
            raise OSError("there can be no lock")
        yield


def reply(status: int, body: object) -> HttpReply:
    return HttpReply(HttpHead(status, {"content-type": "application/json"}), json.dumps(body).encode())


@pytest.fixture
async def vendor() -> Vendor:
    return Vendor()


def login(store: GrantFile | Shelf, vendor: Vendor, pauses: Pauses = QUICK) -> Login:
    identity = Identity("moongate/0")
    renewing = partial(renew, HOST, identity=identity, clock=vendor.clock)
    return Login(store, lambda grant: renewing(grant), vendor, again=AGAIN, clock=vendor.clock, pauses=pauses)


def shelved(vendor: Vendor) -> tuple[Shelf, Login]:
    shelf = Shelf(vendor.grant())
    return shelf, login(shelf, vendor)


async def refusal(work: object) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await work  # type: ignore[misc]
    return caught.value


def token(number: int) -> Sealed:
    return Sealed(f"at-example-token-{number}")


# Keys that stay.


async def test_a_key_is_what_it_is_and_has_no_other() -> None:
    key: Credential = FixedKey(Sealed("sk-example-0123456789"))
    assert (await key.token()).reveal() == "sk-example-0123456789"
    assert await key.renewed(await key.token()) is None
    assert key.shown == "…6789"


# When.


@pytest.mark.parametrize(
    ("lifetime", "left", "due"),
    [
        (900, 451, False),
        (900, 449, True),
        (3600, 1801, False),
        (3600, 1799, True),
        (500, 301, False),
        (500, 299, True),
        (300, 299, False),
        (300, 239, True),
        (2, 1.7, False),
        (2, 1.5, True),
        (900, -5, True),
    ],
)
def test_a_token_is_due_at_half_of_its_life_or_five_minutes_before_its_end(
    lifetime: float, left: float, due: bool
) -> None:
    assert is_due(Grant(token(1), token(1), 1000.0 + left, lifetime), 1000.0) is due


async def test_a_token_that_is_good_is_given_at_once_and_nobody_is_asked(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    assert account.shown == "…"
    assert [await account.token() for _ in range(3)] == [token(1)] * 3
    assert vendor.asked == 0
    assert account.shown == "…en-1"


async def test_it_is_renewed_in_the_background_while_it_is_still_good(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    await account.token()
    vendor.gate.clear()
    vendor.now += 451
    assert [await account.token() for _ in range(3)] == [token(1)] * 3
    await until(lambda: vendor.asked == 1)
    vendor.gate.set()
    await until(lambda: shelf.grant == vendor.grant())
    assert await account.token() == token(2)
    assert vendor.asked == 1


async def test_who_comes_when_it_is_about_to_end_waits_for_the_new_one(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    vendor.now += 875
    assert await asyncio.gather(*(account.token() for _ in range(50))) == [token(2)] * 50
    assert vendor.asked == 1


async def test_a_background_renewal_that_fails_is_tried_again_only_after_a_while(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    vendor.fails = [reply(500, {})] * 3
    vendor.now += 451
    for _ in range(20):
        assert await account.token() == token(1)
        await asyncio.sleep(0.001)
    await until(lambda: vendor.asked == 3)
    assert await account.token() == token(1)
    await asyncio.sleep(0.06)
    await account.token()
    await until(lambda: vendor.issued == 2)
    assert vendor.asked == 4


# Once for all.


async def test_fifty_refusals_at_once_cost_one_renewal(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    refused = await account.token()
    assert await asyncio.gather(*(account.renewed(refused) for _ in range(50))) == [token(2)] * 50
    assert vendor.asked == 1


async def test_who_was_refused_with_a_token_that_has_been_replaced_gets_the_current_one_at_once(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    refused = await account.token()
    await account.renewed(refused)
    assert await account.renewed(refused) == token(2)
    assert vendor.asked == 1


async def test_a_refusal_during_a_background_renewal_waits_for_that_one(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    vendor.gate.clear()
    vendor.now += 451
    refused = await account.token()
    waiting = asyncio.create_task(account.renewed(refused))
    await until(lambda: vendor.asked == 1)
    vendor.gate.set()
    assert await waiting == token(2)
    assert vendor.asked == 1


async def test_a_caller_who_goes_away_leaves_the_renewal_to_the_others(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    refused = await account.token()
    vendor.gate.clear()
    waiting = [asyncio.create_task(account.renewed(refused)) for _ in range(5)]
    await until(lambda: vendor.asked == 1)
    for task in waiting[:4]:
        task.cancel()
    await asyncio.gather(*waiting[:4], return_exceptions=True)
    assert all(task.cancelled() for task in waiting[:4])
    vendor.gate.set()
    assert await waiting[4] == token(2)
    assert vendor.asked == 1


async def test_when_all_callers_go_away_what_was_renewed_is_kept(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    vendor.gate.clear()
    vendor.now += 899
    waiting = asyncio.create_task(account.token())
    await until(lambda: vendor.asked == 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    vendor.gate.set()
    await until(lambda: shelf.grant == vendor.grant())
    assert await account.token() == token(2)


async def test_a_server_that_grants_the_same_again_is_not_asked_for_ever(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    refused = await account.token()
    same = {"access_token": "at-example-token-1", "refresh_token": "rt-example-1", "expires_in": 900}
    vendor.fails = [reply(200, same)] * 9
    assert await account.renewed(refused) is None
    assert vendor.asked == 2


# Across processes.


@pytest.fixture
def folder(tmp_path: Path, vendor: Vendor) -> Callable[[], GrantFile]:
    """The same file, as another process would open it."""
    opened = partial(GrantFile, file_of(tmp_path, "work"), Seal(None), oauth_host=HOST)
    opened().save(vendor.grant())
    return opened


async def test_two_processes_that_share_a_login_renew_it_once(folder: Callable[[], GrantFile], vendor: Vendor) -> None:
    accounts = [login(folder(), vendor) for _ in range(5)]
    refused = await asyncio.gather(*(account.token() for account in accounts))
    renewals = (account.renewed(old) for account, old in zip(accounts * 10, refused * 10, strict=True))
    assert await asyncio.gather(*renewals) == [token(2)] * 50
    assert vendor.asked == 1


async def test_what_another_process_renewed_is_used_instead_of_renewing_it(
    folder: Callable[[], GrantFile], vendor: Vendor
) -> None:
    one, other = login(folder(), vendor), login(folder(), vendor)
    refused = await other.token()
    await one.token()
    await one.renewed(refused)
    vendor.now += 451
    assert await one.token() == token(2)
    await until(lambda: folder().load() == vendor.grant())
    assert (await one.token(), await other.renewed(refused)) == (token(3), token(3))
    assert vendor.asked == 2


async def test_who_loses_a_race_against_somebody_without_the_lock_takes_what_they_kept(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    refused = await account.token()
    vendor.gate.clear()
    waiting = asyncio.create_task(account.renewed(refused))
    await until(lambda: vendor.asked == 1)
    vendor.issued += 1
    vendor.gate.set()
    await asyncio.sleep(0.005)
    shelf.grant = vendor.grant()
    assert await waiting == token(2)
    assert vendor.asked == 1


async def test_a_grant_is_kept_before_anybody_uses_it(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    refused = await account.token()
    shown = []
    shelf.before_save = lambda: shown.append(account.shown)
    assert await account.renewed(refused) == token(2)
    assert shown == [repr(token(1))]


async def test_the_file_is_whole_at_any_moment_of_many_renewals(
    folder: Callable[[], GrantFile], vendor: Vendor
) -> None:
    account = login(folder(), vendor)
    done = asyncio.Event()

    async def look() -> set[float]:
        seen = set()
        while not done.is_set():
            grant = await asyncio.to_thread(folder().load)
            assert grant is not None
            seen.add(grant.lifetime)
        return seen

    looking = asyncio.create_task(look())
    for _ in range(20):
        await account.renewed(await account.token())
    done.set()
    assert await looking == {900.0}
    assert vendor.asked == 20


# What fails.


@pytest.mark.parametrize(
    "failures",
    [
        [reply(500, {}), reply(503, {})],
        [reply(429, {}), GatewayError(Kind.UNREACHABLE, "cannot connect")],
        [GatewayError(Kind.TIMED_OUT, "no answer"), GatewayError(Kind.TRUNCATED, "cut")],
    ],
)
async def test_what_may_pass_is_tried_three_times(vendor: Vendor, failures: list[HttpReply | GatewayError]) -> None:
    _, account = shelved(vendor)
    refused = await account.token()
    vendor.fails = failures
    assert await account.renewed(refused) == token(2)
    assert vendor.asked == 3


async def test_after_three_tries_it_is_told_as_what_it_was_to_all_who_waited(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    refused = await account.token()
    vendor.fails = [GatewayError(Kind.UNREACHABLE, "cannot connect to auth.example.com")] * 3
    told = await asyncio.gather(*(account.renewed(refused) for _ in range(5)), return_exceptions=True)
    assert vendor.asked == 3
    assert {repr(error) for error in told} == {
        "GatewayError(UNREACHABLE, 'the login work could not be renewed: cannot connect to auth.example.com')"
    }
    assert len({id(error) for error in told}) == 5
    assert await account.renewed(refused) == token(2)


async def test_a_dead_login_is_told_with_its_name_and_what_to_run_and_asked_for_once(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    refused = await account.token()
    vendor.is_revoked = True
    for _ in range(5):
        error = await refusal(account.renewed(refused))
        assert error.kind is Kind.LOGIN_EXPIRED
        assert "login work " in error.message
        assert AGAIN in error.message
    vendor.now += 900
    assert (await refusal(account.token())).kind is Kind.LOGIN_EXPIRED
    assert vendor.asked == 1


async def test_a_dead_login_serves_as_long_as_its_last_token_does(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    vendor.is_revoked = True
    vendor.now += 451
    await account.token()
    await until(lambda: vendor.asked == 1)
    await asyncio.sleep(0.1)
    assert await account.token() == token(1)
    await asyncio.sleep(0.1)
    assert vendor.asked == 1


async def test_a_new_login_is_taken_up_by_itself_after_the_old_one_died(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    refused = await account.token()
    vendor.is_revoked = True
    await refusal(account.renewed(refused))
    vendor.issued, vendor.is_revoked = 7, False
    shelf.grant = vendor.grant()
    assert await account.token() == token(7)
    assert await account.renewed(token(7)) == token(8)


async def test_a_new_login_is_taken_up_when_the_old_token_is_refused(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    refused = await account.token()
    vendor.issued = 7
    shelf.grant = vendor.grant()
    assert await account.renewed(refused) == token(7)
    assert vendor.asked == 0


async def test_where_there_is_no_login_it_says_how_to_make_one(vendor: Vendor) -> None:
    shelf = Shelf()
    account = login(shelf, vendor)
    error = await refusal(account.token())
    assert (error.kind, error.message) == (Kind.LOGIN_EXPIRED, f"there is no login work: {AGAIN}")
    shelf.grant = vendor.grant()
    assert await account.token() == token(1)


async def test_a_login_that_was_deleted_is_not_brought_back(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    refused = await account.token()
    shelf.grant = None
    assert (await refusal(account.renewed(refused))).kind is Kind.LOGIN_EXPIRED
    assert (shelf.saved, vendor.asked) == ([], 0)


# What cannot be kept.


async def test_a_grant_that_cannot_be_kept_is_used_and_offered_again(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    refused = await account.token()
    shelf.is_full = True
    with structlog.testing.capture_logs() as log:
        assert await account.renewed(refused) == token(2)
        assert [entry["log_level"] for entry in log if entry["event"] == "login cannot be kept"] == ["error"]
    assert await account.token() == token(2)
    shelf.is_full = False
    await asyncio.sleep(0.06)
    assert await account.token() == token(2)
    await until(lambda: shelf.grant == vendor.grant())
    assert vendor.asked == 1


async def test_what_was_not_kept_is_renewed_all_the_same_and_never_replaced_by_the_older_one(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    shelf.is_full = True
    for number in (1, 2, 3):
        assert await account.renewed(token(number)) == token(number + 1)
    assert vendor.asked == 3
    await account.close()
    assert shelf.saved == []
    shelf.is_full = False
    await account.close()
    assert shelf.grant == vendor.grant()


async def test_a_login_made_anew_wins_over_what_could_not_be_kept(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    shelf.is_full = True
    await account.renewed(token(1))
    vendor.issued = 7
    shelf.grant = vendor.grant()
    assert await account.renewed(token(2)) == token(7)


async def test_a_store_that_cannot_be_read_or_locked_for_a_while_costs_nothing(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    refused = await account.token()
    shelf.is_lost = shelf.has_no_lock = True
    assert await account.renewed(refused) == token(2)
    assert shelf.grant == vendor.grant()


@pytest.mark.parametrize("trouble", ["is_lost", "is_foreign"])
async def test_a_store_that_could_never_be_read_is_told_to_the_operator_alone(vendor: Vendor, trouble: str) -> None:
    shelf, account = shelved(vendor)
    setattr(shelf, trouble, True)
    with structlog.testing.capture_logs() as log:
        error = await refusal(account.token())
    assert error.kind is Kind.LOGIN_EXPIRED
    assert "log says why" in error.message
    assert "MOONGATE_SECRET" in log[0]["reason"] or "cannot be read" in log[0]["reason"]
    setattr(shelf, trouble, False)
    assert await account.token() == token(1)


async def test_a_file_that_became_somebody_elses_is_not_written_over(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    refused = await account.token()
    shelf.is_foreign = True
    assert (await refusal(account.renewed(refused))).kind is Kind.LOGIN_EXPIRED
    assert (shelf.saved, vendor.asked) == ([], 0)


async def test_a_lock_that_is_not_to_be_had_is_a_failure_that_passes(vendor: Vendor) -> None:
    class Busy(Shelf):
        @asynccontextmanager
        async def lock(self) -> AsyncIterator[None]:
            raise TimeoutError
            yield

    account = login(Busy(vendor.grant()), vendor)
    assert (await refusal(account.renewed(await account.token()))).kind is Kind.TIMED_OUT
    assert vendor.asked == 0


# The end.


async def test_closing_lets_a_renewal_under_way_end_and_keeps_it(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    vendor.gate.clear()
    vendor.now += 451
    await account.token()
    await until(lambda: vendor.asked == 1)
    asyncio.get_running_loop().call_later(0.05, vendor.gate.set)
    await account.close()
    assert shelf.grant == vendor.grant()
    assert await account.token() == token(2)


async def test_closing_waits_for_a_silent_server_only_so_long_and_tells_who_waits(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    refused = await account.token()
    vendor.gate.clear()
    waiting = asyncio.create_task(account.renewed(refused))
    await until(lambda: vendor.asked == 1)
    async with asyncio.timeout(2):
        await account.close()
    assert "stopping" in (await refusal(waiting)).message


async def test_closing_ends_the_pauses_between_tries(vendor: Vendor) -> None:
    shelf = Shelf(vendor.grant())
    account = login(shelf, vendor, Pauses(tries=(60.0, 60.0), farewell=30.0))
    vendor.fails = [reply(500, {})] * 3
    refused = await account.token()
    waiting = asyncio.create_task(account.renewed(refused))
    await until(lambda: vendor.asked == 1)
    async with asyncio.timeout(2):
        await account.close()
    assert (await refusal(waiting)).kind is Kind.FAILED
    assert vendor.asked == 1


async def test_nothing_is_renewed_after_the_end(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    refused = await account.token()
    await account.close()
    await account.close()
    assert await account.token() == token(1)
    assert (await refusal(account.renewed(refused))).kind is Kind.FAILED
    vendor.now += 451
    assert await account.token() == token(1)
    vendor.now += 451
    assert (await refusal(account.token())).kind is Kind.FAILED
    assert vendor.asked == 0


async def test_closing_keeps_what_could_not_be_kept_without_renewing_it(vendor: Vendor) -> None:
    shelf, account = shelved(vendor)
    shelf.is_full = True
    await account.renewed(token(1))
    kept = vendor.grant()
    shelf.is_full = False
    vendor.now += 899
    await account.close()
    assert shelf.grant == kept
    assert vendor.asked == 1


async def test_no_token_stands_in_what_is_logged(vendor: Vendor) -> None:
    _, account = shelved(vendor)
    with structlog.testing.capture_logs() as log:
        await account.renewed(await account.token())
        vendor.is_revoked = True
        await refusal(account.renewed(token(2)))
    assert {entry["event"] for entry in log} >= {"login renewed", "login has ended"}
    assert "t-example" not in str(log)


# The same over HTTP, against the simulator's login server.


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport() as entered:
        yield entered


def served(folder: Path, sim: Simulator, transport: AiohttpTransport) -> Login:
    file = GrantFile(file_of(folder, "work"), Seal(None), oauth_host=sim.url)
    renewing = partial(renew, sim.url, identity=Identity("moongate/0"))
    return Login(file, lambda grant: renewing(grant), transport, again=AGAIN, pauses=QUICK)


def granted(folder: Path, sim: Simulator) -> Sealed:
    """A login that the simulator knows, kept in the folder; its token."""
    access, refresh, lifetime = sim.oauth.grant()
    grant = Grant(Sealed(access), Sealed(refresh), time.time() + lifetime, lifetime)
    GrantFile(file_of(folder, "work"), Seal(None), oauth_host=sim.url).save(grant)
    return grant.access


async def test_fifty_refusals_in_each_of_two_processes_cost_one_renewal_in_all(
    tmp_path: Path, sim: Simulator, transport: AiohttpTransport
) -> None:
    refused = granted(tmp_path, sim)
    sim.oauth.delay = 0.05
    accounts = [served(tmp_path, sim, transport) for _ in range(2)]
    renewed = await asyncio.gather(*(account.renewed(refused) for account in accounts * 50))
    assert len(set(renewed)) == 1
    assert renewed[0] not in (None, refused)
    assert sim.oauth.refreshes == 1


async def test_a_login_server_that_fails_for_a_moment_costs_nothing(
    tmp_path: Path, sim: Simulator, transport: AiohttpTransport
) -> None:
    refused = granted(tmp_path, sim)
    sim.oauth.fail_next = [500, 429]
    assert await served(tmp_path, sim, transport).renewed(refused) not in (None, refused)
    assert sim.oauth.refreshes == 1


async def test_short_lives_are_renewed_one_after_the_other_without_a_gap(
    tmp_path: Path, sim: Simulator, transport: AiohttpTransport
) -> None:
    sim.oauth.lifetime = 0.3
    granted(tmp_path, sim)
    account = served(tmp_path, sim, transport)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert sim.oauth.lets_in((await account.token()).reveal())
        await asyncio.sleep(0.01)
    assert 3 <= sim.oauth.refreshes <= 20


async def test_a_revoked_login_is_over_until_a_person_logs_in_again(
    tmp_path: Path, sim: Simulator, transport: AiohttpTransport
) -> None:
    account = served(tmp_path, sim, transport)
    refused = granted(tmp_path, sim)
    sim.oauth.revoke(refused.reveal().replace("at-", "rt-"))
    assert AGAIN in (await refusal(account.renewed(refused))).message
    new = granted(tmp_path, sim)
    assert await account.token() == new
