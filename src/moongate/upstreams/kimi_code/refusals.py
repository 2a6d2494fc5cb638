"""How Kimi Code refuses. Texts from its error reference and from tests and reports that quote it, 2026-06 to 2026-09.

One type and one status, 403 `access_terminated_error`, stand both for a barred client and for used-up quota; 401 both
for a bad key and for a plan without the model. Only the text tells.
"""

from moongate.core.errors import Kind
from moongate.upstreams.refusals import CLIENT_ERRORS, Row, status

REFUSALS = (
    # Which window is used up follows from the words, and from nothing else: the answer does not say until when.
    Row(Kind.QUOTA_EXHAUSTED, CLIENT_ERRORS, r"\b5[ -]?hours? usage limit", window="5h"),
    Row(Kind.QUOTA_EXHAUSTED, CLIENT_ERRORS, r"\b(weekly|7[ -]?days?)\)?( \(7-day\))? usage limit", window="7d"),
    Row(
        Kind.QUOTA_EXHAUSTED, CLIENT_ERRORS, r"\bmonthly usage limit|usage limit for this billing cycle", window="month"
    ),
    Row(Kind.QUOTA_EXHAUSTED, CLIENT_ERRORS, r"reached (your|kimi) [\w() -]{0,40}usage limit|usage limit for this"),
    # The platform's words, which the official client looks for here as well; a membership has quota, not a balance.
    Row(Kind.QUOTA_EXHAUSTED, status(429), r"^exceeded_current_quota_error\b|exceeded your current (token )?quota"),
    # Never seen in Chinese (2026-11). These are the console's words for it, in case.
    Row(Kind.QUOTA_EXHAUSTED, CLIENT_ERRORS, r"(用量|使用量|额度|配额).{0,12}(上限|用完|用尽|耗尽|不足)"),
    # Words that can mean nothing else, under whatever status they come next.
    Row(Kind.CLIENT_BARRED, CLIENT_ERRORS, r"only available for Coding Agents"),
    Row(Kind.MODEL_NOT_IN_PLAN, CLIENT_ERRORS, r"subscription does not have access|current plan supports"),
    Row(Kind.MODEL_NOT_SERVED, CLIENT_ERRORS, r"model id does not exist"),
    Row(
        Kind.CREDENTIAL_REFUSED,
        status(401),
        hint="a Kimi Code key starts with sk-kimi- and belongs to api.kimi.com or api.kimi.ai, not to the platform: "
        "check that key and base URL belong together",
    ),
    Row(Kind.ACCOUNT_BARRED, status(402), hint="the membership may have ended"),
    Row(Kind.ACCOUNT_BARRED, status(403)),
    Row(Kind.MODEL_NOT_SERVED, status(404), r"model"),
    Row(Kind.MISDIRECTED, status(404), hint="is the base URL right?"),
)
