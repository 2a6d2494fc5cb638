"""What follows for an account from how a request ended, as tables."""

import math

import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.core.standing import Standing, Window
from moongate.pool.health import (
    BELIEVED,
    CONSEQUENCES,
    LONGEST_TOLD,
    SHARED_LONGEST,
    WELL,
    Health,
    Rest,
    after_failure,
    after_standing,
    after_success,
    eased,
    is_shared,
    revived,
)


def failed(*kinds: Kind, told: float | None = None, shared: bool = False) -> Health:
    """The state after these failures, each of a request that began when the rest before it was over."""
    health, now = WELL, 0.0
    for kind in kinds:
        now = max(now, health.rest.until if health.rest else now)
        health = after_failure(health, GatewayError(kind, "no", retry_after=told), now, now, shared=shared)
    return health


def seconds(health: Health) -> float:
    return health.rest.until - health.rest.since if health.rest else 0.0


@pytest.mark.parametrize(
    ("kind", "rests"),
    [
        (Kind.RATE_LIMITED, [1, 2, 4, 8]),
        (Kind.OVERLOADED, [1, 2, 4, 8]),
        (Kind.QUOTA_EXHAUSTED, [60, 120, 120]),
        (Kind.BALANCE_EXHAUSTED, [60, 120, 120]),
        (Kind.CREDENTIAL_REFUSED, [30, 60, 120, 120]),
        (Kind.ACCOUNT_BARRED, [30, 60, 120, 120]),
        (Kind.MISDIRECTED, [30, 60, 120, 120]),
        (Kind.CHALLENGED, [30, 60, 120, 120]),
        (Kind.LOGIN_EXPIRED, [math.inf]),
        (Kind.MODEL_NOT_IN_PLAN, [120, 120]),
        (Kind.UNREACHABLE, [0, 1, 2, 4, 8, 15, 15]),
        (Kind.TIMED_OUT, [0, 5, 10, 20, 40, 60]),
        (Kind.FAILED, [0, 0, 1, 2, 4]),
        (Kind.PROTOCOL, [0, 0, 1, 2, 4]),
        (Kind.TRUNCATED, [0, 0, 1, 2, 4]),
    ],
)
def test_how_long_an_account_rests_after_so_many_failures_in_a_row(kind: Kind, rests: list[float]) -> None:
    assert [seconds(failed(*[kind] * count)) for count in range(1, len(rests) + 1)] == rests


def test_every_failure_that_the_upstream_is_blamed_for_is_in_the_table_or_is_the_requests_own() -> None:
    of_the_request = {
        *(Kind.REQUEST_REFUSED, Kind.CONTENT_REFUSED, Kind.CONTEXT_EXCEEDED, Kind.MODEL_NOT_SERVED, Kind.CLIENT_BARRED),
        Kind.CHAT_GONE,
    }
    upstreams = {kind for kind in Kind if kind.origin == "upstream"}
    assert upstreams - of_the_request <= set(CONSEQUENCES)
    assert not of_the_request & set(CONSEQUENCES)


def test_nothing_but_a_lost_login_rests_longer_than_two_minutes_unless_the_vendor_said_so() -> None:
    longest = {kind: row.longest for kind, row in CONSEQUENCES.items() if kind is not Kind.LOGIN_EXPIRED}
    assert max(longest.values()) <= 120


@pytest.mark.parametrize(("told", "rests"), [(7.0, 7.0), (0.0, 1.0), (400.0, 400.0), (1e9, LONGEST_TOLD)])
def test_what_the_vendor_said_is_kept_to(told: float, rests: float) -> None:
    assert seconds(failed(Kind.RATE_LIMITED, told=told)) == rests


def test_a_success_forgets_the_strikes() -> None:
    health = after_success(failed(Kind.FAILED, Kind.FAILED), 5.0)
    assert health == WELL


def test_requests_that_were_under_way_when_it_happened_are_one_event() -> None:
    health = failed(Kind.RATE_LIMITED)
    for _ in range(50):
        health = after_failure(health, GatewayError(Kind.RATE_LIMITED, "no"), -1.0, 0.5, shared=False)
    assert (health.strikes, seconds(health)) == (1, 1)


def test_a_long_reply_that_began_before_the_rest_does_not_end_it() -> None:
    health = failed(Kind.RATE_LIMITED)
    assert after_success(health, -100.0) == health
    assert after_success(health, 1.0) == WELL


@pytest.mark.parametrize(
    ("kind", "others", "shared"),
    [
        (Kind.ACCOUNT_BARRED, [], True),
        (Kind.ACCOUNT_BARRED, [None], False),
        (Kind.ACCOUNT_BARRED, [Kind.ACCOUNT_BARRED], True),
        (Kind.ACCOUNT_BARRED, [Kind.ACCOUNT_BARRED, None], True),
        (Kind.ACCOUNT_BARRED, [Kind.ACCOUNT_BARRED, None, None], False),
        (Kind.CREDENTIAL_REFUSED, [Kind.ACCOUNT_BARRED, Kind.ACCOUNT_BARRED], False),
        (Kind.UNREACHABLE, [Kind.UNREACHABLE, Kind.UNREACHABLE, None], True),
        (Kind.QUOTA_EXHAUSTED, [Kind.QUOTA_EXHAUSTED], False),
        (Kind.BALANCE_EXHAUSTED, [Kind.BALANCE_EXHAUSTED], False),
    ],
)
def test_a_failure_of_most_of_the_pool_is_one_event(kind: Kind, others: list[Kind | None], shared: bool) -> None:
    states = [failed(other) if other else WELL for other in others]
    assert is_shared(kind, states, 30.0) is shared


def test_failures_long_ago_are_not_part_of_it() -> None:
    assert not is_shared(Kind.ACCOUNT_BARRED, [failed(Kind.ACCOUNT_BARRED)] * 3, 61.0)


def test_what_is_the_vendors_trouble_rests_nobody_for_long() -> None:
    assert seconds(failed(*[Kind.ACCOUNT_BARRED] * 9, shared=True)) == SHARED_LONGEST
    alone = failed(Kind.ACCOUNT_BARRED)
    rest = eased(alone, 2.0).rest
    assert rest is not None
    assert rest.until == 2.0 + SHARED_LONGEST


WALL = 1_000_000.0
NOW = 50.0


def standing(*windows: Window, balance: float | None = None) -> Standing:
    return Standing(WALL, windows, balance, "CNY" if balance is not None else "")


def test_an_exhausted_window_rests_before_it_is_refused_until_it_is_reset() -> None:
    told = standing(Window("5h", 1.0, WALL + 600), Window("7d", 0.4, WALL + 9000))
    rest = after_standing(WELL, Kind.QUOTA_EXHAUSTED, told, NOW, NOW, WALL).rest
    assert rest == Rest(Kind.QUOTA_EXHAUSTED, "the plan's quota is used up: 5h", NOW, NOW + 600, is_foreseen=True)


def test_of_two_exhausted_windows_the_later_reset_counts() -> None:
    told = standing(Window("5h", 1.0, WALL + 600), Window("7d", 1.2, WALL + 9000))
    rest = after_standing(WELL, Kind.QUOTA_EXHAUSTED, told, NOW, NOW, WALL).rest
    assert rest is not None
    assert (rest.reason, rest.until) == ("the plan's quota is used up: 5h and 7d", NOW + 9000)


def test_an_exhausted_window_without_a_reset_is_looked_at_again_in_two_minutes() -> None:
    rest = after_standing(WELL, Kind.QUOTA_EXHAUSTED, standing(Window("5h", 1.0)), NOW, NOW, WALL).rest
    assert rest is not None
    assert rest.until == NOW + 120


def test_no_money_rests() -> None:
    rest = after_standing(WELL, Kind.BALANCE_EXHAUSTED, standing(balance=0.0), NOW, NOW, WALL).rest
    assert rest is not None
    assert (rest.reason, rest.until) == ("the balance is 0 CNY", NOW + 120)


def test_room_again_ends_the_rest_and_leaves_the_next_request_as_a_trial() -> None:
    refused = failed(Kind.QUOTA_EXHAUSTED)
    mended = after_standing(refused, Kind.QUOTA_EXHAUSTED, standing(Window("5h", 0.1, WALL + 600)), NOW, NOW, WALL)
    assert mended.rest is not None
    assert (mended.rest.until, mended.strikes) == (NOW, 1)


def test_a_refusal_is_believed_for_a_while_whatever_the_vendors_pages_say() -> None:
    refused = after_failure(WELL, GatewayError(Kind.QUOTA_EXHAUSTED, "no"), 40.0, 45.0, shared=False)
    assert after_standing(refused, Kind.QUOTA_EXHAUSTED, standing(Window("5h", 0.99)), NOW, NOW, WALL) == refused
    barred = after_failure(WELL, GatewayError(Kind.ACCOUNT_BARRED, "no"), 40.0, 45.0, shared=False)
    assert revived(barred, frozenset({Kind.ACCOUNT_BARRED}), 45.0 + BELIEVED - 1) == barred


def test_after_that_an_answer_of_the_vendor_ends_the_rests_it_speaks_against() -> None:
    barred = failed(Kind.ACCOUNT_BARRED)
    mended = revived(barred, frozenset({Kind.ACCOUNT_BARRED}), BELIEVED)
    assert mended.rest is not None
    assert (mended.rest.until, mended.strikes) == (BELIEVED, 1)
    assert revived(barred, frozenset({Kind.UNREACHABLE}), BELIEVED) == barred


def test_money_says_nothing_of_other_troubles() -> None:
    refused = failed(Kind.CREDENTIAL_REFUSED)
    assert after_standing(refused, Kind.BALANCE_EXHAUSTED, standing(balance=5.0), NOW, NOW, WALL) == refused


def test_money_beside_a_plan_pays_for_what_goes_beyond_it() -> None:
    told = standing(Window("5h", 1.0, WALL + 600), balance=3.0)
    assert after_standing(WELL, Kind.QUOTA_EXHAUSTED, told, NOW, NOW, WALL) == WELL


def test_a_plan_serves_without_money_beside_it() -> None:
    told = standing(Window("5h", 0.5, WALL + 600), balance=0.0)
    assert after_standing(WELL, Kind.BALANCE_EXHAUSTED, told, NOW, NOW, WALL) == WELL


def test_no_money_does_not_shorten_another_rest() -> None:
    gone = failed(Kind.LOGIN_EXPIRED)
    assert after_standing(gone, Kind.BALANCE_EXHAUSTED, standing(balance=-1.0), NOW, NOW, WALL) == gone


def test_what_a_vendor_told_is_not_shortened_by_an_outage() -> None:
    told = after_failure(WELL, GatewayError(Kind.FAILED, "no", retry_after=300), 0.0, 0.0, shared=False)
    assert eased(told, 1.0) == told
