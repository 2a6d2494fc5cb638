"""The error catalogue: every refusal the two products are known to give, as rows that a script can name.

Texts are the recorded or documented ones; ids in them are invented and stand where real ones would, so that
redaction can be tested. Bodies never carry `code`: it was never seen on the wire (2026-09).
"""

from typing import Final

import msgspec

from moongate.simulator.values import JsonObject, dumps


class Refusal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An HTTP error answer. A `body` that is a string is sent as it stands, anything else as JSON."""

    status: int
    body: object
    headers: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ValueError("status must lie between 200 and 599")
        if any(character in "\r\n\0" for pair in self.headers.items() for text in pair for character in text):
            raise ValueError("headers must not contain line breaks or NUL")

    def encoded(self) -> bytes:
        return self.body.encode("utf-8", "replace") if isinstance(self.body, str) else dumps(self.body)


def refusal(status: int, type: str | None, message: str, headers: dict[str, str] | None = None) -> Refusal:
    """The usual error shape; `type` None leaves it out, for texts that were recorded without one."""
    error: JsonObject = {"message": message} if type is None else {"message": message, "type": type}
    return Refusal(status=status, body={"error": error}, headers=headers or {})


def invalid_request(message: str) -> Refusal:
    return refusal(400, "invalid_request_error", message)


def model_not_found(model: str) -> Refusal:
    return refusal(404, "resource_not_found_error", f"Not found the model {model} or Permission denied")


def plan_lacks(model: str) -> Refusal:
    return refusal(401, None, f"Your current subscription does not have access to {model}. {_OF_THE_PLAN}")


def rated(what: str, seconds: int, headers: dict[str, str]) -> Refusal:
    """Too much of something: `what` as the platform words it."""
    message = f"{_ACCOUNT} {what}, please try again after {seconds} seconds"
    return refusal(429, "rate_limit_reached_error", message, headers)


def route_not_found(method: str, path: str, user_agent: str) -> Refusal:
    """The platform's answer to an unknown route, a shape of its own (wire, 2026-09)."""
    body: JsonObject = {
        "code": 5,
        "error": "url.not_found",
        "message": "没找到对象",
        "method": method,
        "scode": "0x5",
        "status": False,
        "ua": user_agent,
        "url": path,
    }
    return Refusal(status=404, body=body)


_ACCOUNT: Final = "Your account org-example0123456789abcdef<ak-example0123456789>"
_OF_THE_PLAN: Final = "Upgrade to a Moderato plan or above."
_AGAIN: Final = "please try again after 1 seconds"
_HTML_504: Final = (
    "<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<body>\r\n"
    "<center><h1>504 Gateway Time-out</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)

INVALID_AUTHENTICATION: Final = refusal(401, "invalid_authentication_error", "Invalid Authentication")
KIMI_CODE_INVALID_KEY: Final = refusal(
    401,
    "invalid_authentication_error",
    "The API Key appears to be invalid or may have expired. Please verify your credentials and try again.",
)
METHOD_NOT_FOUND: Final = refusal(404, "resource_not_found_error", "method not found")

# Platform errors, section 13 of its reference.
_PLATFORM: Final[dict[str, Refusal]] = {
    "content_filter": refusal(400, "content_filter", "The request was rejected because it was considered high risk"),
    "invalid_request": invalid_request("Invalid request: this request was refused by a script"),
    "input_too_long": invalid_request("Input token length too long"),
    "token_limit": invalid_request("Your request exceeded model token limit: 262144"),
    "token_limit_old": invalid_request("Your request exceeded model token limit : 262144"),
    "text_content_empty": invalid_request("text content is empty"),
    "reasoning_missing": invalid_request(
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index 1"
    ),
    "invalid_authentication": INVALID_AUTHENTICATION,
    "incorrect_api_key": refusal(401, "incorrect_api_key_error", "Incorrect API key provided"),
    "api_not_open": refusal(403, "permission_denied_error", "The API you are accessing is not open"),
    "other_user_info": refusal(403, "permission_denied_error", "You are not allowed to get other user info"),
    "ip_not_allowed": refusal(403, "permission_denied_error", "Your IP is not allowed to access this organization"),
    "model_not_found": model_not_found("kimi-example"),
    "user_not_found": refusal(404, "resource_not_found_error", "Users user-example not found"),
    "engine_overloaded": refusal(
        429, "engine_overloaded_error", "The engine is currently overloaded, please try again later"
    ),
    # The only error documented with Retry-After; its real values are unknown.
    "engine_overloaded_retry_after": refusal(
        429,
        "engine_overloaded_error",
        "The engine is currently overloaded, please try again later",
        {"Retry-After": "2"},
    ),
    "account_suspended": refusal(
        429,
        "exceeded_current_quota_error",
        f"{_ACCOUNT} is suspended, please check your plan and billing details",
    ),
    "insufficient_balance": refusal(
        429,
        "exceeded_current_quota_error",
        f"{_ACCOUNT} is suspended due to insufficient balance, "
        "please recharge your account or check your plan and billing details",
    ),
    "token_quota": refusal(
        429,
        "exceeded_current_quota_error",
        "You exceeded your current token quota: <org-example0123456789abcdef> 0, please check your account balance",
    ),
    # 2024 only; today the same type comes as 429.
    "account_inactive": refusal(
        403,
        "exceeded_current_quota_error",
        f"{_ACCOUNT} is not active, current state: suspended, you may consider to check your account balance",
    ),
    "rate_limit_concurrency": refusal(
        429,
        "rate_limit_reached_error",
        f"{_ACCOUNT} request reached organization max concurrency: 1, {_AGAIN}",
    ),
    "rate_limit_concurrency_variant": refusal(
        429, "rate_limit_reached_error", "request reached max organization concurrency: 3"
    ),
    "rate_limit_rpm": refusal(
        429, "rate_limit_reached_error", f"{_ACCOUNT} request reached organization max RPM: 3, {_AGAIN}"
    ),
    "rate_limit_tpm": refusal(
        429,
        "rate_limit_reached_error",
        f"{_ACCOUNT} request reached organization TPM rate limit, current:500123, limit:500000",
    ),
    "rate_limit_tpd": refusal(
        429,
        "rate_limit_reached_error",
        f"{_ACCOUNT} request reached organization TPD rate limit, current:1500321, limit:1500000",
    ),
    # Documented without a message; these two texts are placeholders.
    "client_closed": refusal(499, "client_closed_request", "client closed request"),
    "server_unavailable": refusal(503, "server_unavailable", "server unavailable"),
    "server_error": refusal(500, "server_error", "Failed to extract file: unexpected end of file"),
    "unexpected_output": refusal(500, "unexpected_output", "invalid state transition"),
    "gateway_timeout_html": Refusal(status=504, body=_HTML_504, headers={"Content-Type": "text/html"}),
}

# Kimi Code errors, section 9 of its reference. "Barred" and "quota used up" share status and type: only the text tells.
_KIMI_CODE: Final[dict[str, Refusal]] = {
    "kimi_code_token_limit": invalid_request("Invalid request: Your request exceeded model token limit: 262144"),
    "message_size": invalid_request("total message size 2097153 exceeds limit 2097152"),
    "high_risk": invalid_request("Invalid request: the request was considered high risk"),
    "kimi_code_invalid_key": KIMI_CODE_INVALID_KEY,
    "kimi_code_invalid_key_as_request_error": refusal(
        401,
        "invalid_request_error",
        "The API Key appears to be invalid or may have expired. Please verify your credentials and try again.",
    ),
    "plan_lacks_model": refusal(
        401, None, "Your current subscription does not have access to k3. Upgrade to a Moderato plan or above."
    ),
    "plan_lacks_context": refusal(
        401,
        None,
        "Your current plan supports only kimi-k3 up to 256K context. 1M context is available on higher-tier plans.",
    ),
    "model_id_suffixed": refusal(
        401, None, "Your model id does not exist, recognized as other:k3[1m]. Please set model id as k3."
    ),
    "membership_inactive": refusal(
        402,
        "invalid_request_error",
        "We're unable to verify your membership benefits at this time. Please ensure your membership is active.",
    ),
    "coding_agents_only": refusal(
        403,
        "access_terminated_error",
        "Kimi For Coding is currently only available for Coding Agents such as "
        "Kimi CLI, Claude Code, Roo Code, Kilo Code, etc.",
    ),
    "access_terminated": refusal(403, "access_terminated_error", "Access terminated. Review our Community Guidelines."),
    "billing_cycle_quota": refusal(
        403,
        "access_terminated_error",
        "You've reached your usage limit for this billing cycle. Your quota will be refreshed in the next cycle. "
        "Upgrade to get more: https://www.kimi.com/code/#pricing",
    ),
    "billing_cycle_quota_old": refusal(
        403,
        "permission_error",
        "You've reached your usage limit for this billing cycle. Your quota will be refreshed in the next cycle. "
        "Upgrade to get more: https://www.kimi.com/code/#pricing",
    ),
    "five_hour_quota": refusal(
        403,
        "access_terminated_error",
        "You've reached your 5-hour usage limit. Your quota will reset when the current 5-hour window ends.",
    ),
    "weekly_quota": refusal(
        403,
        "access_terminated_error",
        "You've reached your weekly (7-day) usage limit. Your quota will reset when the current 7-day window ends. "
        "To continue now, purchase extra usage or upgrade your plan: "
        "https://www.kimi.com/membership/subscription?tab=quota",
    ),
    "method_not_found": METHOD_NOT_FOUND,
    "too_many_requests": refusal(
        429,
        "rate_limit_reached_error",
        "We're receiving too many requests at the moment. Please wait a moment and try again.",
    ),
    "period_quota": refusal(429, None, "You've reached your usage limit for this period."),
    "monthly_quota": refusal(429, None, "You've reached kimi monthly usage limit for this billing cycle"),
    "bot_id_mismatch": refusal(500, None, "bot_id example value does not match id_kinds"),
    "failed_to_connect": refusal(500, None, "failed to connect to upstream.example"),
}

CATALOGUE: Final[dict[str, Refusal]] = _PLATFORM | _KIMI_CODE
