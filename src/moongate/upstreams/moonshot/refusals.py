"""How the platform refuses. Texts as documented and recorded, 2024 to 2026-09."""

from moongate.core.errors import Kind
from moongate.upstreams.refusals import CLIENT_ERRORS, Row, status

REFUSALS = (
    # 429 since 2026, 403 in 2024. The text patterns are those the official client looks for.
    Row(Kind.BALANCE_EXHAUSTED, CLIENT_ERRORS, r"^exceeded_current_quota_error\b"),
    Row(
        Kind.BALANCE_EXHAUSTED,
        status(429),
        r"exceeded your current (token )?quota|check your account balance|insufficient balance"
        r"|recharge your account|please recharge|account (is )?in arrears"
        r"|余额不足|欠费|请充值",
    ),
    # How much an account may ask at a time and in a minute depends on its tier, and only these texts tell.
    Row(
        Kind.RATE_LIMITED,
        status(429),
        r"\bmax (?:organization )?concurrency: ?(\d{1,9})\b(?![.,]\d)",
        limit="concurrency",
    ),
    Row(Kind.RATE_LIMITED, status(429), r"\bmax (?:organization )?RPM: ?(\d{1,9})\b(?![.,]\d)", limit="rpm"),
    Row(
        Kind.RATE_LIMITED, status(429), r"\bTPM rate limit, current: ?\d+, limit: ?(\d{1,12})\b(?![.,]\d)", limit="tpm"
    ),
    Row(
        Kind.CREDENTIAL_REFUSED,
        status(401),
        hint="a key of api.moonshot.cn, one of api.moonshot.ai and one of Kimi Code are three different things: "
        "check that key and base URL belong together",
    ),
    Row(Kind.ACCOUNT_BARRED, status(403)),
    Row(Kind.MODEL_NOT_SERVED, status(404), r"model"),
    Row(Kind.MISDIRECTED, status(404), r"url\.not_found", hint="is the base URL right?"),
)
