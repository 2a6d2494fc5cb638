"""What a refusal is, and the words of those that name what they refuse.

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


def rated(message: str) -> Refusal:
    """Too much of something."""
    return refusal(429, "rate_limit_reached_error", message)


def too_many(what: str, most: int, seconds: int) -> Refusal:
    """The platform's words; `what` is `concurrency` or `RPM`."""
    limit = f"request reached organization max {what}: {most}"
    return rated(f"{ACCOUNT} {limit}, please try again after {seconds} seconds")


def too_many_tokens(what: str, current: int, limit: int) -> Refusal:
    """The platform's words, which name no time; `what` is `TPM` or `TPD`."""
    return rated(f"{ACCOUNT} request reached organization {what} rate limit, current:{current}, limit:{limit}")


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


ACCOUNT: Final = "Your account org-example0123456789abcdef<ak-example0123456789>"
_OF_THE_PLAN: Final = "Upgrade to a Moderato plan or above."
