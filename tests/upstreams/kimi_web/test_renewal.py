"""Renewing a web login, driven by hand: where it is asked for, and what is made of every pair of answers."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.core.grant import Grant
from moongate.core.sealed import Sealed
from moongate.upstreams.kimi_web.renewal import first, renew
from moongate.wire.http import Flow, HttpCall, HttpHead, HttpReply

AUTH, WEB = "https://auth.example.com", "https://www.example.com"
NOW = 5_000.0
PAGE = b"<!doctype html><title>Just a moment</title>"


def jwt(**claims: object) -> str:
    return ".".join(
        urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "HS512", "typ": "JWT"}, {"app_id": "kimi", **claims}, "example")
    )


ACCESS = jwt(typ="access", sub="example-user", device_id="7001", iat=NOW, exp=NOW + 600, jti="new")
RENEWING = jwt(typ="refresh", sub="example-user", jti="new")
OLD = jwt(typ="refresh", sub="example-user", device_id="7001", ssid="1701", jti="old")
GRANT = Grant(Sealed("at-example-old"), Sealed(OLD), 4_000.0, 900.0, "7001")
RENEWED = Grant(Sealed(ACCESS), Sealed(RENEWING), NOW + 600, 600.0, "7001")
CAMEL = {"accessToken": ACCESS, "refreshToken": RENEWING}
SNAKE = {"access_token": ACCESS, "refresh_token": RENEWING}


def asking(grant: Grant = GRANT) -> Flow[Grant]:
    return renew(AUTH, WEB, grant, "moongate/test", lambda: NOW)


def reply(status: int, body: object = b"", **headers: str) -> HttpReply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/html" if data.startswith(b"<") else "application/json"
    return HttpReply(HttpHead(status, {"content-type": kind, **headers}), data)


def calls_of(*replies: HttpReply, grant: Grant = GRANT) -> tuple[list[HttpCall], Grant | GatewayError]:
    flow, calls = asking(grant), []
    try:
        calls.append(next(flow))
        for answer in replies:
            calls.append(flow.send(answer))  # noqa: PERF401 (ends by an exception)
    except StopIteration as stop:
        return calls, stop.value
    except GatewayError as error:
        return calls, error
    raise AssertionError("more is asked")


def outcome(*replies: HttpReply, grant: Grant = GRANT) -> Any:
    return calls_of(*replies, grant=grant)[1]


# What is asked.


def test_the_login_server_is_asked_first() -> None:
    call = next(asking())
    assert (call.method, call.url) == ("POST", f"{AUTH}/api/account.gateway.v1.AuthService/RefreshToken")
    assert json.loads(call.body) == {"refresh_token": OLD}
    assert call.headers == {
        "accept": "application/json",
        "accept-encoding": "identity",
        "connect-protocol-version": "1",
        "content-type": "application/json",
        "user-agent": "moongate/test",
        "x-msh-device-id": "7001",
        "x-msh-platform": "web",
        "x-msh-session-id": "1701",
        "x-msh-version": "2.2.0",
        "x-traffic-id": "example-user",
    }


def test_the_site_itself_is_asked_where_there_is_no_such_server() -> None:
    (_, call), _ = calls_of(reply(404), reply(200, SNAKE))
    assert (call.method, call.url, call.body) == ("GET", f"{WEB}/api/auth/token/refresh", b"")
    assert call.headers["authorization"] == f"Bearer {OLD}"


def test_a_slash_at_the_end_of_an_address_is_none_too_many() -> None:
    assert next(renew(f"{AUTH}/", WEB, GRANT, "x")).url == next(asking()).url


def test_no_token_is_shown_by_a_call() -> None:
    assert OLD not in repr(next(asking()))


# What is answered.


@pytest.mark.parametrize("body", [CAMEL, SNAKE, {"token": ACCESS, "refreshToken": RENEWING}])
def test_every_spelling_of_two_new_tokens_is_read(body: object) -> None:
    assert outcome(reply(200, body)) == RENEWED
    assert outcome(reply(501), reply(200, body)) == RENEWED


def test_without_a_new_refresh_token_the_old_one_stays_good() -> None:
    assert outcome(reply(200, {"accessToken": ACCESS})).refresh == GRANT.refresh


@pytest.mark.parametrize(
    ("access", "end", "lifetime"),
    [
        (jwt(iat=NOW - 10, exp=NOW + 600), NOW + 600, 610.0),
        (jwt(exp=NOW + 600), NOW + 600, 600.0),
        (jwt(typ="access"), NOW + 900, 900.0),
        ("at-example-no-jwt", NOW + 900, 900.0),
        (jwt(iat=100, exp=400), NOW + 300, 300.0),
        (jwt(iat=NOW, exp=NOW - 5), NOW + 900, 900.0),
    ],
)
def test_a_token_says_how_long_it_lives(access: str, end: float, lifetime: float) -> None:
    grant = outcome(reply(200, {**CAMEL, "accessToken": access}))
    assert (grant.expires_at, grant.lifetime) == (end, lifetime)


@pytest.mark.parametrize("odd", ["at\r\nx-evil: 1", "", 5, None, ["x"], "x" * 20_000])
def test_what_cannot_be_sent_is_no_token(odd: object) -> None:
    failure = outcome(reply(200, {"accessToken": odd}), reply(200, {"access_token": odd}))
    assert failure.kind is Kind.FAILED


REFUSED = [
    reply(401, {"code": "unauthenticated", "message": "invalid claims"}),
    reply(400, {"code": "invalid_argument"}),
    reply(403, {"error_type": "auth.token.invalid", "message": "no"}),
    reply(200, {"error_type": "auth.token.invalid", "message": "no"}),
]
ABSENT = [reply(404), reply(405), reply(501), reply(307), reply(200, PAGE), reply(404, PAGE)]
PASSING = [reply(500), reply(503, b"busy"), reply(429), reply(403, PAGE), reply(200, b"{}"), reply(200, b"[" * 9000)]


@pytest.mark.parametrize("missed", [*REFUSED, *ABSENT, *PASSING])
def test_the_older_place_is_asked_where_the_newer_did_not_do(missed: HttpReply) -> None:
    assert outcome(missed, reply(200, SNAKE)) == RENEWED


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (REFUSED, REFUSED, Kind.LOGIN_EXPIRED),
        (REFUSED, ABSENT, Kind.LOGIN_EXPIRED),
        (ABSENT, REFUSED, Kind.LOGIN_EXPIRED),
        (REFUSED, PASSING, Kind.FAILED),
        (PASSING, REFUSED, Kind.FAILED),
        (PASSING, PASSING, Kind.FAILED),
        (PASSING, ABSENT, Kind.FAILED),
        (ABSENT, PASSING, Kind.FAILED),
        (ABSENT, ABSENT, Kind.MISDIRECTED),
    ],
)
def test_a_login_has_ended_only_where_nothing_speaks_for_another_try(
    one: list[HttpReply], other: list[HttpReply], kind: Kind
) -> None:
    assert {outcome(newer, older).kind for newer in one for older in other} == {kind}


def test_a_failure_tells_what_both_said_and_how_long_to_wait() -> None:
    error = outcome(reply(401, {"message": "session expired"}), reply(429, {"message": "slow"}, **{"retry-after": "7"}))
    assert "session expired" in error.message
    assert "slow" in error.message
    assert (error.retry_after, error.upstream_status) == (7.0, 401)


def test_no_token_is_repeated_in_what_is_said() -> None:
    body = {"code": "unauthenticated", "message": f"{OLD} and at-example-old are dead"}
    error = outcome(reply(401, body), reply(401, body))
    assert OLD not in error.message
    assert "at-example-old" not in error.message


# Before the first renewal.


def test_a_refresh_token_is_a_grant_that_has_to_be_renewed() -> None:
    assert first(f" Bearer {OLD} ") == Grant(Sealed(""), Sealed(OLD), 0.0, 900.0, "7001")
    assert first("no-jwt-example") == Grant(Sealed(""), Sealed("no-jwt-example"), 0.0, 900.0, "")
    assert outcome(reply(200, CAMEL), grant=first(OLD)) == RENEWED
