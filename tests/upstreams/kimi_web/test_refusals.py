"""How the web chat refuses: which kind follows from which code, reason and status, and what the caller reads."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.errors import GatewayError, Kind
from moongate.upstreams.kimi_web.refusals import Refusal, explain, explain_error, of_a_continued_chat, read
from moongate.wire.http import HttpHead

JSON = {"content-type": "application/json"}


def explained(told: object, status: int = 200, **headers: str) -> GatewayError:
    return explain(HttpHead(status, {**JSON, **headers}), json.dumps(told).encode())


def connect(code: str, reason: str = "", message: str = "", **more: object) -> dict[str, object]:
    debug = {"reason": reason, "localizedMessage": {"locale": "en-US", "message": message}}
    return {"code": code, "details": [{"type": "x", "debug": debug}], **more}


CODES = [
    ("unauthenticated", "", "", Kind.CREDENTIAL_REFUSED),
    ("unknown", "REASON_INVALID_AUTH_TOKEN", "", Kind.CREDENTIAL_REFUSED),
    ("resource_exhausted", "REASON_SERVER_OVERLOADED_FOR_FREE_USER", "Upgrade your quota", Kind.OVERLOADED),
    ("resource_exhausted", "", "Too many parallel conversations", Kind.RATE_LIMITED),
    ("resource_exhausted", "REASON_CONCURRENCY_LIMIT", "", Kind.RATE_LIMITED),
    ("resource_exhausted", "REASON_QUOTA_EXCEEDED", "", Kind.QUOTA_EXHAUSTED),
    ("resource_exhausted", "", "Your credits are used up", Kind.QUOTA_EXHAUSTED),
    ("resource_exhausted", "", "额度已用完", Kind.QUOTA_EXHAUSTED),
    ("resource_exhausted", "", "", Kind.OVERLOADED),
    ("", "REASON_COMPLETION_OVERLOADED", "", Kind.OVERLOADED),
    ("invalid_argument", "", "", Kind.REQUEST_REFUSED),
    ("invalid_argument", "", "the input is too long", Kind.CONTEXT_EXCEEDED),
    ("invalid_argument", "REASON_CONTEXT_LENGTH_EXCEEDED", "", Kind.CONTEXT_EXCEEDED),
    ("invalid_argument", "REASON_CONTENT_NOT_ALLOWED", "", Kind.CONTENT_REFUSED),
    ("permission_denied", "", "", Kind.ACCOUNT_BARRED),
    ("permission_denied", "REASON_SENSITIVE_INPUT", "", Kind.CONTENT_REFUSED),
    ("not_found", "", "no such model", Kind.MODEL_NOT_SERVED),
    ("not_found", "REASON_CHAT_SHARE_NOT_FOUND", "", Kind.REQUEST_REFUSED),
    ("unavailable", "", "", Kind.OVERLOADED),
    ("deadline_exceeded", "", "", Kind.TIMED_OUT),
    ("unimplemented", "", "", Kind.MISDIRECTED),
    ("internal", "", "", Kind.FAILED),
    ("something_new", "REASON_NEW", "", Kind.FAILED),
]


@pytest.mark.parametrize(("code", "reason", "message", "kind"), CODES)
def test_a_code_and_its_reason_say_what_it_is_wherever_they_stand(
    code: str, reason: str, message: str, kind: Kind
) -> None:
    error = connect(code, reason, message)
    debug = {"reason": reason, "localizedMessage": {"locale": "en-US", "message": message}}
    assert explained({"error": error}).kind is kind
    assert explained(error).kind is kind
    assert explained({"error": {"code": code, "debug": debug}}).kind is kind
    assert explained({"exception": {"error": {"code": code, **debug}}}).kind is kind
    assert explain_error({"error": error}).kind is kind


@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (401, connect("unauthenticated"), Kind.CREDENTIAL_REFUSED),
        (401, {"code": "unauthenticated", "debug": {"reason": "REASON_INVALID_AUTH_TOKEN"}}, Kind.CREDENTIAL_REFUSED),
        (401, {"error_type": "auth.token.invalid", "message": "x"}, Kind.CREDENTIAL_REFUSED),
        (401, {}, Kind.CREDENTIAL_REFUSED),
        (403, {}, Kind.CREDENTIAL_REFUSED),
        (403, connect("permission_denied"), Kind.ACCOUNT_BARRED),
        (404, {}, Kind.MISDIRECTED),
        (404, connect("not_found", "REASON_CHAT_SHARE_NOT_FOUND"), Kind.REQUEST_REFUSED),
        (400, {}, Kind.REQUEST_REFUSED),
        (429, {}, Kind.RATE_LIMITED),
        (500, {}, Kind.FAILED),
        (502, {}, Kind.FAILED),
        (503, {}, Kind.OVERLOADED),
        (504, {}, Kind.TIMED_OUT),
        (400, {"error_type": "chat.user_stream_pushing", "message": "x"}, Kind.RATE_LIMITED),
        (200, {"error_type": "openai.completion.stream", "message": "x"}, Kind.OVERLOADED),
        (200, {"error_type": "openai.completion.token_length_too_long", "message": "x"}, Kind.CONTEXT_EXCEEDED),
        (200, {"event": "error", "error": {"error_type": "new.type", "message": "x"}}, Kind.FAILED),
        (200, {}, Kind.FAILED),
    ],
)
def test_a_status_counts_where_there_is_no_code(status: int, told: object, kind: Kind) -> None:
    assert explained(told, status).kind is kind


@pytest.mark.parametrize(("status", "kind"), [(429, Kind.RATE_LIMITED), (502, Kind.FAILED), (503, Kind.OVERLOADED)])
def test_how_long_to_wait_is_told(status: int, kind: Kind) -> None:
    error = explain(HttpHead(status, {"retry-after": "12"}), b"slow down")
    assert (error.kind, error.retry_after, error.upstream_status) == (kind, 12.0, status)


@pytest.mark.parametrize(("status", "kind"), [(403, Kind.FAILED), (429, Kind.RATE_LIMITED), (404, Kind.MISDIRECTED)])
def test_a_web_page_says_nothing_of_the_account(status: int, kind: Kind) -> None:
    error = explain(HttpHead(status, {"content-type": "text/html"}), b"<html><title>Just a moment...</title></html>")
    assert error.kind is kind
    assert error.message.startswith("Just a moment...")


def test_the_english_message_is_told_of_several() -> None:
    messages = [{"locale": "zh-CN", "message": "请稍后"}, {"locale": "en-US", "message": "Later, please."}]
    details = [{"debug": {"reason": "R", "localizedMessage": one}} for one in messages]
    assert explained({"error": {"code": "unavailable", "details": details}}).message == "Later, please."
    assert explained({"error": {"code": "unavailable", "debug": {"localizedMessage": messages}}}).message == (
        "Later, please."
    )
    assert explained({"error": {"code": "unavailable", "details": details[:1]}}).message == "请稍后"


def test_a_refusal_without_a_message_tells_its_code() -> None:
    assert explained({"error": {"code": "internal"}}).message == "the upstream refused: internal"
    assert "REASON_X" in explained({"exception": {"error": {"reason": "REASON_X"}}}).message


def test_what_was_withdrawn_is_said_to_be() -> None:
    error = {"reason": "REASON_COMPLETION_OVERLOADED", "severity": "SEVERITY_BLOCK_RETRACT"}
    assert "withdrawn" in explained({"exception": {"error": error}}).message
    assert "withdrawn" not in explained({"exception": {"error": {**error, "severity": "SEVERITY_TOAST"}}}).message


def test_no_secret_is_told() -> None:
    secret = "example-token-of-the-operator"
    body = json.dumps({"error": {"code": "unauthenticated", "message": f"{secret} and eyJhbGciOiJ.eyJzdWIi.c2ln"}})
    error = explain(HttpHead(401), body.encode(), secret)
    assert error.message == "[redacted] and [redacted]"


def gone(told: object, status: int = 200) -> Kind:
    return of_a_continued_chat(explain)(HttpHead(status, JSON), json.dumps(told).encode()).kind


@pytest.mark.parametrize(
    ("told", "status", "kind"),
    [
        ({"error": {"code": "invalid_argument"}}, 200, Kind.CHAT_GONE),
        (connect("not_found"), 404, Kind.CHAT_GONE),
        (connect("permission_denied"), 403, Kind.CHAT_GONE),
        ({"error_type": "chat.not_found", "message": "x"}, 404, Kind.CHAT_GONE),
        ({"error_type": "resource.gone", "message": "x"}, 404, Kind.CHAT_GONE),
        ({"error": {"code": "unauthenticated"}}, 200, Kind.CREDENTIAL_REFUSED),
        ({"error": {"code": "resource_exhausted"}}, 200, Kind.OVERLOADED),
        (connect("invalid_argument", "", "too long"), 400, Kind.CONTEXT_EXCEEDED),
        (connect("invalid_argument", "REASON_CONTENT_NOT_ALLOWED"), 400, Kind.CONTENT_REFUSED),
    ],
)
def test_a_continued_chat_may_be_gone(told: object, status: int, kind: Kind) -> None:
    assert gone(told, status) is kind


def test_a_web_page_says_nothing_of_a_chat() -> None:
    head = HttpHead(404, {"content-type": "text/html"})
    assert of_a_continued_chat(explain)(head, b"<html></html>").kind is Kind.MISDIRECTED


def test_an_error_is_read_into_one_form() -> None:
    told = {"error": connect("resource_exhausted", "REASON_X", "Later.", paywall={"needUpgrade": True})}
    assert read(told) == Refusal("resource_exhausted", "REASON_X:paywall", "Later.")
    assert read({"error": "url.not_found", "message": "m"}) == Refusal("url.not_found", "", "m")


STRANGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "exception", "code", "details", "debug", "reason", "localizedMessage", "severity"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(STRANGE, st.sampled_from([200, 400, 401, 500]))
def test_errors_of_any_shape_are_explained(told: object, status: int) -> None:
    assert explained(told, status).message


@given(st.binary(max_size=50))
def test_bodies_of_any_kind_are_explained(body: bytes) -> None:
    assert explain(HttpHead(500), body).message


def test_what_nests_too_deeply_is_explained() -> None:
    assert explain(HttpHead(500), b'{"error":' + b"[" * 100_000).kind is Kind.FAILED
