"""The error catalogue: every refusal the two products are known to give, as rows that a script can name."""

from typing import Final

from moongate.simulator.refusals import (
    ACCOUNT,
    Refusal,
    invalid_request,
    model_not_found,
    plan_lacks,
    rated,
    refusal,
    too_many,
    too_many_tokens,
)

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
        f"{ACCOUNT} is suspended, please check your plan and billing details",
    ),
    "insufficient_balance": refusal(
        429,
        "exceeded_current_quota_error",
        f"{ACCOUNT} is suspended due to insufficient balance, "
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
        f"{ACCOUNT} is not active, current state: suspended, you may consider to check your account balance",
    ),
    "rate_limit_concurrency": too_many("concurrency", 1, 1),
    "rate_limit_concurrency_variant": rated("request reached max organization concurrency: 3"),
    "rate_limit_rpm": too_many("RPM", 3, 1),
    "rate_limit_tpm": too_many_tokens("TPM", 500123, 500000),
    "rate_limit_tpd": too_many_tokens("TPD", 1500321, 1500000),
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
    "plan_lacks_model": plan_lacks("k3"),
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
    "too_many_requests": rated("We're receiving too many requests at the moment. Please wait a moment and try again."),
    "period_quota": refusal(429, None, "You've reached your usage limit for this period."),
    "monthly_quota": refusal(429, None, "You've reached kimi monthly usage limit for this billing cycle"),
    "bot_id_mismatch": refusal(500, None, "bot_id example value does not match id_kinds"),
    "failed_to_connect": refusal(500, None, "failed to connect to upstream.example"),
}

CATALOGUE: Final[dict[str, Refusal]] = _PLATFORM | _KIMI_CODE
