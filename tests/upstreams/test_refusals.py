"""Every refusal on record is taken for what it is, and leaves nothing secret in its text."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.limit import Limit
from moongate.upstreams.kimi_code.refusals import REFUSALS as KIMI_CODE
from moongate.upstreams.moonshot.refusals import REFUSALS as MOONSHOT
from moongate.upstreams.openai.refusals import REFUSALS as OPENAI
from moongate.upstreams.refusals import Row, explain
from moongate.wire.http import HttpHead

JSON = {"content-type": "application/json"}
ORG, AK = "org-0123456789abcdef", "ak-fedcba9876543210"
KEY = "sk-example-0123456789-of-the-operator"
SECRETS = (ORG, AK, ORG[4:], AK[3:], KEY, "sk-example")

CATALOGUES = Path(__file__).parents[1] / "corpus" / "refusals"


class Refusal(Struct):
    """A row of the catalogue: what the upstream says, and the kind, the status to the caller, the seconds to wait and
    the window that it comes to. Placeholders in the message stand for ids and keys."""

    status: int
    type: str
    kind: str
    told: int
    wait: str
    message: str
    window: str = ""


def catalogue(upstream: str) -> list[Refusal]:
    with (CATALOGUES / f"{upstream}.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, dialect="excel-tab", quoting=csv.QUOTE_NONE)
        return [msgspec.convert(row, Refusal, strict=False) for row in rows]


ROWS = [
    pytest.param(table, row, id=f"{upstream} {row.status} {row.message[:50]}")
    for upstream, table in (("moonshot", MOONSHOT), ("kimi_code", KIMI_CODE), ("openai", OPENAI))
    for row in catalogue(upstream)
]
AS_TYPED = {Kind.REQUEST_REFUSED, Kind.CONTENT_REFUSED, Kind.CONTEXT_EXCEEDED, Kind.MODEL_NOT_SERVED}


def body(type: str, message: str) -> bytes:
    return json.dumps({"error": {"message": message, **({"type": type} if type else {})}}, ensure_ascii=False).encode()


def explained(rows: Iterable[Row], status: int, said: bytes, **headers: str) -> GatewayError:
    named = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return explain(rows, HttpHead(status, named), said, KEY)


@pytest.mark.parametrize(("rows", "row"), ROWS)
@pytest.mark.parametrize("shape", ["OpenAI", "Anthropic"])
def test_a_refusal_on_record_is_told_for_what_it_is(rows: tuple[Row, ...], row: Refusal, shape: str) -> None:
    message = row.message.replace("{org}", ORG).replace("{ak}", AK).replace("{key}", KEY)
    said = body(row.type, message)
    if shape == "Anthropic":
        said = json.dumps({"type": "error", **json.loads(said)}).encode()
    error = explained(rows, row.status, said)
    assert (error.kind.code, error.status, error.upstream_status) == (row.kind, row.told, row.status)
    assert error.retry_after == (float(row.wait) if row.wait else None)
    assert error.window == row.window
    assert error.message
    assert not any(secret in error.message for secret in SECRETS)
    if error.kind in AS_TYPED:
        assert error.type == (row.type or None)
        assert "{" in row.message or error.message == row.message


def test_the_catalogues_are_read() -> None:
    assert len(ROWS) > 60


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        ("request reached organization max concurrency: 3, please try again after 1 seconds", Limit("concurrency", 3)),
        ("request reached max organization concurrency: 3", Limit("concurrency", 3)),
        ("request reached organization max RPM: 20, please try again after 20 seconds", Limit("rpm", 20)),
        ("request reached organization TPM rate limit, current:500001, limit:500000", Limit("tpm", 500000)),
        ("request reached organization TPD rate limit, current:1500001, limit:1500000", None),  # a day is none of ours
        ("request reached organization max RPM: 1,000, please try again after 20 seconds", None),  # better none than 1
        ("request reached organization max concurrency: 3.", Limit("concurrency", 3)),
        ("too many requests", None),
    ],
)
def test_how_much_an_account_may_ask_is_read_from_the_refusal(message: str, limit: Limit | None) -> None:
    error = explained(MOONSHOT, 429, body("rate_limit_reached_error", f"Your account {{org}}<{{ak}}> {message}"))
    assert (error.kind, error.limit) == (Kind.RATE_LIMITED, limit)


def test_a_model_that_does_not_exist_is_a_404_whatever_status_it_was_told_under() -> None:
    message = "Your model id does not exist, recognized as other:k3[1m]. Please set model id as k3."
    error = explained(KIMI_CODE, 401, body("", message))
    assert (error.kind, error.status) == (Kind.MODEL_NOT_SERVED, 404)


@pytest.mark.parametrize("rows", [MOONSHOT, KIMI_CODE], ids=["platform", "Kimi Code"])
def test_a_bad_key_says_which_keys_belong_where(rows: tuple[Row, ...]) -> None:
    error = explained(rows, 401, body("invalid_authentication_error", "Invalid Authentication"))
    assert error.message.startswith("Invalid Authentication (")
    assert "key and base URL belong together" in error.message


CHALLENGE = b"""<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title><style>*{margin:0}</style></head>
<body>Enable JavaScript and cookies to continue. usage limit, model, sk-example</body></html>"""
NGINX = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n<hr><center>nginx</center>\r\n"
    "</body>\r\n</html>\r\n"
)

PAGES = [
    (504, NGINX.format("504 Gateway Time-out").encode(), Kind.TIMED_OUT, "504 Gateway Time-out"),
    (502, NGINX.format("502 Bad Gateway").encode(), Kind.FAILED, "502 Bad Gateway"),
    (403, CHALLENGE, Kind.FAILED, "Just a moment..."),
    (403, b"error code: 1020", Kind.FAILED, "error code: 1020"),
    (402, CHALLENGE, Kind.FAILED, "Just a moment..."),
    (400, NGINX.format("400 Bad Request").encode(), Kind.FAILED, "400 Bad Request"),
    (451, CHALLENGE, Kind.FAILED, "Just a moment..."),
    (401, NGINX.format("401 Authorization Required").encode(), Kind.CREDENTIAL_REFUSED, "401 Authorization Required"),
    (404, NGINX.format("404 Not Found &amp; model").encode(), Kind.MISDIRECTED, "404 Not Found & model"),
    (405, NGINX.format("405 Not Allowed").encode(), Kind.MISDIRECTED, "405 Not Allowed"),
    (413, NGINX.format("413 Request Entity Too Large").encode(), Kind.REQUEST_REFUSED, "413 Request Entity Too Large"),
    (429, CHALLENGE, Kind.RATE_LIMITED, "Just a moment..."),
    (429, b"error code: 1015\n", Kind.RATE_LIMITED, "error code: 1015"),
    (520, b"error code: 520", Kind.FAILED, "error code: 520"),
    (521, b"<!doctype html>\n<title>x | 521: Web server is down</title>", Kind.FAILED, "x | 521: Web server is down"),
    (522, b"<html></html>", Kind.FAILED, "the upstream answered 522 and said nothing"),
    (524, b"<!-- cf --><html><body><script>a</script>A timeout</body>", Kind.TIMED_OUT, "A timeout"),
    (526, b"error code: 526", Kind.FAILED, "error code: 526"),
    (529, b"<html><body>busy</body></html>", Kind.OVERLOADED, "busy"),
    (200, b"<html><head><title>Log in to the network</title></head></html>", Kind.FAILED, "Log in to the network"),
]


@pytest.mark.parametrize(("code", "page", "kind", "told"), PAGES)
def test_a_web_page_where_an_answer_was_due_says_nothing_about_the_account(
    code: int, page: bytes, kind: Kind, told: str
) -> None:
    for rows in (MOONSHOT, KIMI_CODE, OPENAI):
        for media_type in ("text/html; charset=utf-8", "text/plain", ""):
            error = explain(rows, HttpHead(code, {"content-type": media_type}), page)
            assert (error.kind, error.message.partition(" (")[0]) == (kind, told)


def test_json_that_is_called_a_web_page_is_still_json() -> None:
    message = "You've reached your 5-hour usage limit."
    error = explain(KIMI_CODE, HttpHead(403, {"content-type": "text/html"}), body("access_terminated_error", message))
    assert (error.kind, error.window) == (Kind.QUOTA_EXHAUSTED, "5h")


def test_a_proxy_that_asks_for_a_password_is_not_the_callers_fault() -> None:
    assert explained(MOONSHOT, 407, b"").kind is Kind.UNREACHABLE


def test_an_unknown_path_points_at_the_base_url() -> None:
    said = '{"code":5,"error":"url.not_found","message":"没找到对象","method":"POST","status":false,"url":"/v1/nope"}'
    error = explained(MOONSHOT, 404, said.encode())
    assert (error.kind, error.status) == (Kind.MISDIRECTED, 502)
    assert error.message == "没找到对象 (is the base URL right?)"


@pytest.mark.parametrize("status", [400, 418, 422])
def test_a_refusal_nobody_knows_is_handed_back(status: int) -> None:
    error = explained(MOONSHOT, status, body("new_error", "no idea"))
    assert (error.kind, error.status, error.type) == (Kind.REQUEST_REFUSED, status, "new_error")


@pytest.mark.parametrize("status", [302, 500, 502, 599, 200])
def test_anything_else_is_a_failure_of_the_upstream(status: int) -> None:
    error = explained(MOONSHOT, status, b"")
    assert (error.kind, error.status) == (Kind.FAILED, 502)
    assert error.message == f"the upstream answered {status} and said nothing"


IN_BAND = [
    ("invalid_request_error", "text content is empty", Kind.REQUEST_REFUSED),
    ("server_error", "it broke", Kind.FAILED),
    ("", "it broke", Kind.FAILED),
    ("content_filter", "The request was rejected because it was considered high risk", Kind.CONTENT_REFUSED),
    ("invalid_request_error", "Your request exceeded model token limit: 262144", Kind.CONTEXT_EXCEEDED),
    ("exceeded_current_quota_error", "please check your account balance", Kind.BALANCE_EXHAUSTED),
    ("rate_limit_reached_error", "request reached max organization concurrency: 3", Kind.RATE_LIMITED),
    ("engine_overloaded_error", "The engine is currently overloaded", Kind.OVERLOADED),
]


@pytest.mark.parametrize(("type", "message", "kind"), IN_BAND)
def test_an_error_inside_a_reply_is_told_by_its_type(type: str, message: str, kind: Kind) -> None:
    assert explained(MOONSHOT, 200, body(type, message)).kind is kind


@pytest.mark.parametrize(
    ("header", "text", "wait"),
    [
        ("7", "", 7),
        (" 7 ", "please try again after 20 seconds", 7),
        ("0", "", 0),
        ("", "please try again after 20 seconds", 20),
        ("", "Please try again in 1.5s.", 1.5),
        ("", "try again in 1 second", 1),
        ("1.5", "", 1.5),
        ("86401", "", 86400),
        ("", "请在 20 秒后重试", 20),
        ("1792567680", "", None),
        ("-1", "", None),
        ("soon", "please try again after 20 seconds", 20),
        ("٧", "", None),
        ("", "please try again later", None),
    ],
)
def test_how_long_to_wait_is_read_from_the_header_or_the_text(header: str, text: str, wait: float | None) -> None:
    assert explained(MOONSHOT, 429, body("rate_limit_reached_error", text), retry_after=header).retry_after == wait


@pytest.mark.parametrize(
    ("until", "now", "wait"),
    [
        ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:27:00 GMT", 60),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:29:00 GMT", 0),
        ("Wed, 21 Oct 2126 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 86400),
        ("Wed, 21 Oct 2020 07:28:00 GMT", "", 0),
        ("Wed, 21 Oct 2126 07:28:00 GMT", "no date", 86400),
    ],
)
def test_a_date_to_come_back_at_is_counted_from_the_upstreams_own_clock(until: str, now: str, wait: float) -> None:
    error = explained(MOONSHOT, 429, body("rate_limit_reached_error", ""), retry_after=until, date=now)
    assert error.retry_after == wait


def test_nobody_is_told_to_wait_for_ever() -> None:
    for error in (
        explained(MOONSHOT, 429, body("", ""), retry_after="9" * 400),
        explained(MOONSHOT, 429, body("", f"please try again after {'9' * 400} seconds")),
    ):
        assert error.retry_after is None or error.retry_after < float("inf")


def test_a_refusal_is_told_in_one_line_and_without_the_credential() -> None:
    error = explain(MOONSHOT, HttpHead(400), body(f"x{KEY}", f"no\r\n\n  {KEY}\tgood"), KEY)
    assert error.message == "no [redacted] good"
    assert KEY not in (error.type or "")


def test_a_refusal_is_told_in_bounded_length() -> None:
    assert len(explained(MOONSHOT, 400, body("", "no " * 100_000)).message) < 10_000


shapes: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "message", "type", "code", "error_description"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.integers(200, 599), shapes.map(json.dumps).map(str.encode) | st.binary(max_size=60), st.text(max_size=12))
def test_any_refusal_is_explained(status: int, said: bytes, header: str) -> None:
    for rows in (MOONSHOT, KIMI_CODE, OPENAI, ()):
        error = explain(rows, HttpHead(status, {"retry-after": header}), said + KEY.encode(), KEY)
        assert error.message
        assert KEY not in error.message
        assert error.upstream_status == status
        assert 400 <= error.status < 600


@pytest.mark.parametrize("status", [418, 499, 599, 600, 777, 999])
def test_a_status_nobody_has_heard_of_is_a_refusal_like_any_other(status: int) -> None:
    error = explain(MOONSHOT, HttpHead(status, {}), b"")
    assert error.kind in (Kind.REQUEST_REFUSED, Kind.FAILED)
