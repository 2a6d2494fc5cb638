"""One error type. Whose fault it is and what a retry could change are data, not subclasses."""

from enum import Enum
from typing import Literal, TypeAlias

from moongate.core.events import Usage
from moongate.core.limit import Limit

Origin: TypeAlias = Literal["caller", "gateway", "upstream"]
Retry: TypeAlias = Literal["never", "same", "elsewhere"]


class Kind(Enum):
    """What went wrong: (code, HTTP status, whose fault, what a retry could change).

    `never`: the same request fails the same way everywhere. `elsewhere`: another account may do better.
    `same`: what happened may have passed, so even the same account may do better.
    """

    # The caller's, found by the gateway before anything was asked.
    INVALID_REQUEST = ("invalid_request", 400, "caller", "never")
    UNAUTHENTICATED = ("unauthenticated", 401, "caller", "never")
    FORBIDDEN = ("forbidden", 403, "caller", "never")
    UNKNOWN_MODEL = ("unknown_model", 404, "caller", "never")
    UNKNOWN_PATH = ("unknown_path", 404, "caller", "never")
    UNKNOWN_CONVERSATION = ("unknown_conversation", 404, "caller", "never")
    CONVERSATION_BUSY = ("conversation_busy", 409, "caller", "never")
    WRONG_METHOD = ("wrong_method", 405, "caller", "never")
    TOO_SLOW = ("too_slow", 408, "caller", "never")
    TOO_LARGE = ("too_large", 413, "caller", "never")
    HEADERS_TOO_LARGE = ("headers_too_large", 431, "caller", "never")

    # The gateway's own.
    NO_ACCOUNT = ("no_account", 503, "gateway", "never")
    MISDIRECTED = ("misdirected", 502, "gateway", "elsewhere")
    OUT_OF_TIME = ("out_of_time", 504, "gateway", "never")
    HISTORY_AWAY = ("history_away", 503, "gateway", "never")
    INTERNAL = ("internal", 500, "gateway", "never")

    # The upstream refused this request, and would refuse it from any account.
    REQUEST_REFUSED = ("request_refused", 400, "upstream", "never")
    CONTENT_REFUSED = ("content_refused", 400, "upstream", "never")
    CONTEXT_EXCEEDED = ("context_exceeded", 400, "upstream", "never")
    MODEL_NOT_SERVED = ("model_not_served", 404, "upstream", "elsewhere")
    CHAT_GONE = ("chat_gone", 502, "upstream", "same")

    # The upstream refused this account.
    CREDENTIAL_REFUSED = ("credential_refused", 502, "upstream", "elsewhere")
    LOGIN_EXPIRED = ("login_expired", 502, "upstream", "elsewhere")
    ACCOUNT_BARRED = ("account_barred", 403, "upstream", "elsewhere")
    CLIENT_BARRED = ("client_barred", 403, "upstream", "never")
    MODEL_NOT_IN_PLAN = ("model_not_in_plan", 403, "upstream", "elsewhere")
    QUOTA_EXHAUSTED = ("quota_exhausted", 429, "upstream", "elsewhere")
    BALANCE_EXHAUSTED = ("balance_exhausted", 429, "upstream", "elsewhere")
    RATE_LIMITED = ("rate_limited", 429, "upstream", "same")

    # The upstream failed.
    OVERLOADED = ("overloaded", 503, "upstream", "same")
    FAILED = ("failed", 502, "upstream", "same")
    CHALLENGED = ("challenged", 502, "upstream", "elsewhere")
    PROTOCOL = ("protocol", 502, "upstream", "same")
    TRUNCATED = ("truncated", 502, "upstream", "same")
    UNREACHABLE = ("unreachable", 502, "upstream", "same")
    TIMED_OUT = ("timed_out", 504, "upstream", "elsewhere")

    def __init__(self, code: str, status: int, origin: Origin, retry: Retry) -> None:
        self.code = code
        self.status = status
        self.origin: Origin = origin
        self.retry: Retry = retry


class GatewayError(Exception):
    """Something failed; `kind` says what follows from it.

    `message` is for the person who called and holds no secret. `status` and `type` are the upstream's own where they
    are handed back as they came; `param` names the field at fault, as `messages[0].content`; `retry_after` is in
    seconds; `allow` names the methods that would have been right; `upstream_status` is what the upstream answered, for
    the log; `window` names the part of a plan's quota that is used up, as `Standing` names it; `limit` is the one
    that was reached, where it was told. `usage`: what the upstream had told of tokens before its reply broke.
    """

    usage: Usage | None = None

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        allow: str | None = None,
        upstream_status: int | None = None,
        window: str = "",
        limit: Limit | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status or kind.status
        self.type = type
        self.param = param
        self.retry_after = retry_after
        self.allow = allow
        self.upstream_status = upstream_status
        self.window = window
        self.limit = limit

    def __repr__(self) -> str:
        return f"GatewayError({self.kind.name}, {self.message!r})"

    @classmethod
    def truncated(cls) -> "GatewayError":
        return cls(Kind.TRUNCATED, "the upstream ended its reply before finishing it")

    @classmethod
    def protocol(cls, message: str) -> "GatewayError":
        return cls(Kind.PROTOCOL, message)
