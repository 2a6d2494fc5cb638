"""How the web site refuses: one row for each reason, told in the shapes of both generations.

Codes, reasons and shapes are those that several independent clients reported in 2026; the wording is invented where
none was recorded.
"""

from typing import Final

import msgspec

from moongate.simulator.values import JsonObject


class WebRefusal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`code` and `reason` are told by Connect, `error_type` by the older generation, `status` by either over HTTP.

    `page`: the HTTP answer is this text instead of JSON. `is_plain`: it is never told inside a stream.
    """

    code: str = "unknown"
    reason: str = ""
    message: str = ""
    locale: str = "en-US"
    error_type: str = "internal"
    status: int = 500
    needs_plan: bool = False
    headers: dict[str, str] = {}
    page: str = ""
    is_plain: bool = False

    def __post_init__(self) -> None:
        if not 400 <= self.status <= 599:
            raise ValueError("status must lie between 400 and 599")


_BUSY: Final = "Too many people are chatting with Kimi right now. Please try again later."
_TIRED: Final = "Kimi 现在有点累了，晚一点再来问问我吧！"
_CHALLENGE: Final = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking</body></html>"


def _plain(status: int, page: str = "", headers: dict[str, str] | None = None) -> WebRefusal:
    message = f"simulated HTTP {status}"
    return WebRefusal(status=status, message=message, page=page, headers=headers or {}, is_plain=True)


ROWS: Final[dict[str, WebRefusal]] = {
    "unauthenticated": WebRefusal(
        code="unauthenticated",
        reason="REASON_INVALID_AUTH_TOKEN",
        message="Your login has expired. Please log in again.",
        error_type="auth.token.invalid",
        status=401,
    ),
    "overloaded_for_free_user": WebRefusal(
        code="resource_exhausted",
        reason="REASON_SERVER_OVERLOADED_FOR_FREE_USER",
        message=_BUSY,
        error_type="openai.completion.stream",
        status=429,
    ),
    "completion_overloaded": WebRefusal(
        code="resource_exhausted",
        reason="REASON_COMPLETION_OVERLOADED",
        message=_TIRED,
        locale="zh-CN",
        error_type="openai.completion.stream",
        status=429,
    ),
    "resource_exhausted": WebRefusal(code="resource_exhausted", message=_BUSY, error_type="rate_limit", status=429),
    "parallel": WebRefusal(
        code="resource_exhausted",
        reason="REASON_TOO_MANY_PARALLEL_GENERATIONS",
        message="Too many parallel conversations are being generated. Wait until one has ended.",
        error_type="chat.user_stream_pushing",
        status=429,
    ),
    "quota": WebRefusal(
        code="resource_exhausted",
        reason="REASON_QUOTA_EXCEEDED",
        message="Your credits are used up. Upgrade your plan to go on.",
        error_type="user.quota_exceeded",
        status=429,
        needs_plan=True,
    ),
    "invalid_argument": WebRefusal(
        code="invalid_argument", message="invalid argument", error_type="request.invalid", status=400
    ),
    "too_long": WebRefusal(
        code="invalid_argument",
        reason="REASON_TOKEN_LENGTH_TOO_LONG",
        message="The conversation is too long.",
        error_type="openai.completion.token_length_too_long",
        status=400,
    ),
    "permission_denied": WebRefusal(
        code="permission_denied", message="Permission denied", error_type="user.forbidden", status=403
    ),
    "not_found": WebRefusal(code="not_found", message="not found", error_type="resource.not_found", status=404),
    "content_filter": WebRefusal(
        code="permission_denied",
        reason="REASON_CONTENT_FILTERED",
        message="This content is beyond my current scope.",
        error_type="content.sensitive",
        status=403,
    ),
    "unavailable": WebRefusal(
        code="unavailable", message="The service is unavailable", error_type="server.unavailable", status=503
    ),
    "internal": WebRefusal(code="internal", message="internal error", error_type="server.internal", status=500),
    "http_401": _plain(401),
    "http_403": _plain(403),
    "http_429": _plain(429, headers={"Retry-After": "2"}),
    "http_502": _plain(502, "<html><body><h1>502 Bad Gateway</h1></body></html>"),
    "http_503": _plain(503, "Service Unavailable"),
    "challenge": _plain(403, _CHALLENGE, {"cf-mitigated": "challenge"}),
}
"""What `refuse` of a script may name."""


def because(row: str, message: str) -> WebRefusal:
    return msgspec.structs.replace(ROWS[row], message=message)


def connect_error(refusal: WebRefusal, *, bare_debug: bool = False) -> JsonObject:
    """The value of `error` in a trailer, and with `message` the body of an HTTP refusal."""
    debug: JsonObject = {"localizedMessage": _localized(refusal)}
    if refusal.reason:
        debug = {"reason": refusal.reason, **debug}
    error: JsonObject = {"code": refusal.code}
    if refusal.needs_plan:
        error["paywall"] = {"needUpgrade": True, "upgradeTo": "LEVEL_BASIC"}
    return {**error, "debug": debug} if bare_debug else {**error, "details": [{"debug": debug}]}


def exception(refusal: WebRefusal) -> JsonObject:
    """The value of `exception` in a block: what was said is to be taken back."""
    error: JsonObject = {
        "reason": refusal.reason or "REASON_UNKNOWN",
        "localizedMessage": _localized(refusal),
        "severity": "SEVERITY_BLOCK_RETRACT",
    }
    return {"error": error}


def rest_error(refusal: WebRefusal) -> JsonObject:
    return {"error_type": refusal.error_type, "message": refusal.message}


def _localized(refusal: WebRefusal) -> JsonObject:
    return {"locale": refusal.locale, "message": refusal.message}
