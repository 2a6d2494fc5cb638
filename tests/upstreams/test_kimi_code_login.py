"""Logging in to Kimi Code, driven by hand: what is asked, what is made of every answer."""

import json
from typing import Any, TypeVar
from urllib.parse import parse_qs

import pytest

from moongate import __version__
from moongate.core.errors import GatewayError, Kind
from moongate.core.grant import Grant
from moongate.core.sealed import Sealed
from moongate.upstreams.kimi_code.login import (
    CLIENT_ID,
    DeviceCode,
    Identity,
    Waiting,
    begin,
    command,
    poll,
    renew,
)
from moongate.wire.http import Flow, HttpCall, HttpHead, HttpReply

T = TypeVar("T")

HOST = "https://auth.example.com"
IDENTITY = Identity("moongate/0 (operator)", "5c0e3a4e-0000-4000-8000-000000000000")
CODE = DeviceCode(Sealed("device-example"), "ABCD-1234", "https://example.com/?user_code=ABCD-1234", 1800.0, 5.0)
GRANT = Grant(Sealed("at-example-1"), Sealed("rt-example-1"), 1000.0, 900.0, "device-of-the-grant")
TOKENS = {"access_token": "at-example-2", "refresh_token": "rt-example-2", "expires_in": 900, "token_type": "Bearer"}
STARTED = {
    "device_code": "device-example",
    "user_code": "ABCD-1234",
    "verification_uri": "https://example.com/",
    "verification_uri_complete": "https://example.com/?user_code=ABCD-1234",
    "expires_in": 1800,
    "interval": 5,
}
FAR = {"error_description": "The words of the server"}


def answered(flow: Flow[T], body: object, status: int = 200, kind: str = "application/json") -> T:
    """What the flow makes of one answer."""
    next(flow)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(StopIteration) as stop:
        flow.send(HttpReply(HttpHead(status, {"content-type": kind}), data))
    return stop.value.value


def refused(flow: Flow[Any], body: object, status: int, kind: str = "application/json") -> GatewayError:
    next(flow)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(GatewayError) as caught:
        flow.send(HttpReply(HttpHead(status, {"content-type": kind}), data))
    return caught.value


def at(moment: float):
    return lambda: moment


# What is asked.


def form(call: HttpCall) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(call.body.decode(), strict_parsing=True).items()}


def test_each_call_is_a_form_that_names_the_public_client() -> None:
    calls = [next(begin(HOST, IDENTITY)), next(poll(HOST, CODE, IDENTITY)), next(renew(HOST, GRANT, IDENTITY))]
    assert [call.url.removeprefix(HOST) for call in calls] == [
        "/api/oauth/device_authorization",
        "/api/oauth/token",
        "/api/oauth/token",
    ]
    assert all(call.method == "POST" for call in calls)
    assert all(call.headers["content-type"] == "application/x-www-form-urlencoded" for call in calls)
    assert [form(call) for call in calls] == [
        {"client_id": CLIENT_ID},
        {
            "client_id": CLIENT_ID,
            "device_code": "device-example",
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        },
        {"client_id": CLIENT_ID, "grant_type": "refresh_token", "refresh_token": "rt-example-1"},
    ]


def test_who_asks_is_told_honestly_and_nothing_of_the_machine() -> None:
    headers = next(begin(HOST, IDENTITY)).headers
    assert {name: value for name, value in headers.items() if name.startswith(("x-", "user"))} == {
        "user-agent": "moongate/0 (operator)",
        "x-msh-platform": "moongate",
        "x-msh-version": __version__,
        "x-msh-device-id": IDENTITY.device,
    }


def test_a_login_is_renewed_under_the_number_it_was_made_with() -> None:
    assert next(renew(HOST, GRANT, IDENTITY)).headers["x-msh-device-id"] == "device-of-the-grant"
    nameless = Grant(Sealed("at-example-1"), Sealed("rt-example-1"), 1000.0, 900.0)
    assert "x-msh-device-id" not in next(renew(HOST, nameless, IDENTITY)).headers


def test_what_is_secret_in_a_form_arrives_as_it_is_and_is_not_shown() -> None:
    odd = Grant(Sealed("at-example-1"), Sealed("rt&client_id=+%/=example"), 1000.0, 900.0)
    call = next(renew(f"{HOST}/", odd, IDENTITY))
    assert form(call)["refresh_token"] == "rt&client_id=+%/=example"
    assert form(call)["client_id"] == CLIENT_ID
    assert call.url == f"{HOST}/api/oauth/token"
    assert "example-1" not in repr(call)


# Beginning.


def test_a_code_is_what_a_person_needs_and_for_how_long() -> None:
    assert answered(begin(HOST, IDENTITY), STARTED) == CODE


def test_what_is_not_told_is_as_the_rfc_or_the_vendor_has_it() -> None:
    little = {name: STARTED[name] for name in ("device_code", "user_code", "verification_uri")}
    code = answered(begin(HOST, IDENTITY), little)
    assert (code.url, code.lifetime, code.interval) == ("https://example.com/", 1800.0, 5.0)
    for odd in (None, "soon", -1, 0, True, "NaN", [5]):
        code = answered(begin(HOST, IDENTITY), {**STARTED, "interval": odd, "expires_in": odd})
        assert (code.lifetime, code.interval) == (1800.0, 5.0)
    code = answered(begin(HOST, IDENTITY), {**STARTED, "interval": "7", "expires_in": 600.5})
    assert (code.lifetime, code.interval) == (600.5, 7.0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        {},
        {**STARTED, "device_code": ""},
        {**STARTED, "device_code": "a\r\nb: c"},
        {**STARTED, "user_code": "\x1b[2J"},
        {**STARTED, "user_code": 1234},
        {**STARTED, "verification_uri_complete": "javascript:alert(1)", "verification_uri": "\x1b]8;;"},
    ],
)
def test_an_answer_that_cannot_be_shown_or_used_is_none(body: object) -> None:
    assert refused(begin(HOST, IDENTITY), body, 200).kind in (Kind.PROTOCOL, Kind.FAILED)


# Waiting.


@pytest.mark.parametrize("status", [400, 200, 428])
@pytest.mark.parametrize(("word", "kind"), [("authorization_pending", "pending"), ("slow_down", "slow_down")])
def test_waiting_is_told_by_the_body_whatever_the_status(status: int, word: str, kind: Any) -> None:
    assert answered(poll(HOST, CODE, IDENTITY), {"error": word, **FAR}, status) == Waiting(kind)


def test_what_was_granted_lives_from_when_it_was_asked_for() -> None:
    grant = answered(poll(HOST, CODE, IDENTITY, at(500.0)), TOKENS)
    assert grant == Grant(Sealed("at-example-2"), Sealed("rt-example-2"), 1400.0, 900.0, IDENTITY.device)


@pytest.mark.parametrize("odd", [None, "soon", -1, 0, True, [900], "1e999"])
def test_a_lifetime_that_is_none_is_the_usual_one(odd: object) -> None:
    grant = answered(poll(HOST, CODE, IDENTITY, at(500.0)), {**TOKENS, "expires_in": odd})
    assert isinstance(grant, Grant)
    assert (grant.expires_at, grant.lifetime) == (1400.0, 900.0)


@pytest.mark.parametrize("status", [400, 200])
@pytest.mark.parametrize(
    ("word", "kind", "said"),
    [
        ("expired_token", Kind.LOGIN_EXPIRED, "not confirmed in time"),
        ("access_denied", Kind.CREDENTIAL_REFUSED, "declined"),
    ],
)
def test_the_ways_a_login_ends_are_told_apart(status: int, word: str, kind: Kind, said: str) -> None:
    error = refused(poll(HOST, CODE, IDENTITY), {"error": word, **FAR}, status)
    assert error.kind is kind
    assert said in error.message


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": "invalid_client", **FAR}, Kind.REQUEST_REFUSED),
        (404, {"error": "not_found"}, Kind.MISDIRECTED),
        (429, {"error": "too_many"}, Kind.RATE_LIMITED),
        (500, {}, Kind.FAILED),
        (503, b"overloaded", Kind.OVERLOADED),
        (302, b"", Kind.FAILED),
        (200, {"error": "who knows"}, Kind.FAILED),
        (200, {"access_token": "at-example-2"}, Kind.PROTOCOL),
        (200, {**TOKENS, "access_token": "at\r\nx-evil: 1"}, Kind.PROTOCOL),
        (200, {**TOKENS, "access_token": ""}, Kind.PROTOCOL),
    ],
)
def test_everything_else_is_what_its_status_says(status: int, body: object, kind: Kind) -> None:
    assert refused(poll(HOST, CODE, IDENTITY), body, status).kind is kind


# Renewing.


def test_a_grant_is_replaced_by_its_successor_which_keeps_the_device() -> None:
    grant = answered(renew(HOST, GRANT, IDENTITY, at(500.0)), TOKENS)
    assert grant == Grant(Sealed("at-example-2"), Sealed("rt-example-2"), 1400.0, 900.0, "device-of-the-grant")


def test_without_a_new_refresh_token_the_old_one_stays_good() -> None:
    grant = answered(renew(HOST, GRANT, IDENTITY), {"access_token": "at-example-2"})
    assert grant.refresh == GRANT.refresh


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": "invalid_grant", **FAR}),
        (200, {"error": "invalid_grant"}),
        (401, {"error": "unauthorized"}),
        (403, b""),
    ],
)
def test_a_dead_login_says_what_to_run(status: int, body: object) -> None:
    error = refused(renew(HOST, GRANT, IDENTITY), body, status)
    assert error.kind is Kind.LOGIN_EXPIRED
    assert "moongate login kimi-code" in error.message
    assert error.upstream_status == status


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_can_be_tried_again(status: int) -> None:
    error = refused(renew(HOST, GRANT, IDENTITY), b"", status)
    assert error.kind.retry == "same" or error.kind is Kind.TIMED_OUT


def test_a_firewall_on_the_way_does_not_end_a_login() -> None:
    error = refused(renew(HOST, GRANT, IDENTITY), b"<html><title>Just a moment</title>", 403, "text/html")
    assert error.kind is Kind.FAILED


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_renewal_that_is_refused_is_not_the_fault_of_who_asks_for_a_model(status: int) -> None:
    error = refused(renew(HOST, GRANT, IDENTITY), {"error": "invalid_request", **FAR}, status)
    assert error.kind is Kind.FAILED
    assert error.status == Kind.FAILED.status


def test_no_token_is_repeated_in_what_is_said() -> None:
    body = {"error": "invalid_grant", "error_description": "rt-example-1 of at-example-1 is dead"}
    assert "example-1" not in refused(renew(HOST, GRANT, IDENTITY), body, 400).message
    body = {"error": "who knows", "error_description": "device-example is odd"}
    assert "device-example" not in refused(poll(HOST, CODE, IDENTITY), body, 400).message


def test_the_command_names_the_login_where_it_is_not_the_usual_one() -> None:
    assert command() == command("kimi-code") == "moongate login kimi-code"
    assert command("work") == "moongate login kimi-code --name work"
