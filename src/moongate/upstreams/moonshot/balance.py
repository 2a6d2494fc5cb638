"""Reads the platform's `GET /users/me/balance`, with the envelope it was documented in and without.

`{"code":0,"data":{"available_balance":49.58894,"voucher_balance":46.58893,"cash_balance":3.00001},"scode":"0x0",
"status":true}`: documented 2026-09. Cash may be negative, then the voucher is what is available; at 0 or less nothing
is served.
"""

import msgspec
from msgspec import Struct
from yarl import URL

from moongate.core.errors import GatewayError, Kind
from moongate.core.redact import redact
from moongate.core.standing import Standing
from moongate.dialects.openai_chat.client import error_of
from moongate.wire.numbers import number

PATH = "/users/me/balance"

CURRENCIES = {"ai": "USD", "cn": "CNY"}
"""By the end of the host's name; the answer does not say."""

_object = msgspec.json.Decoder(dict[str, object]).decode


class Reader(Struct, frozen=True):
    """Reads balances in one currency. A value, so that accounts of the same settings are known for the same."""

    currency: str = ""

    def __call__(self, body: bytes, now: float) -> Standing:
        return read(body, now, self.currency)


def reader(base_url: str) -> Reader:
    host = URL(base_url).host or ""
    return Reader(CURRENCIES.get(host.rpartition(".")[2], ""))


def read(body: bytes, now: float, currency: str = "") -> Standing:
    """Raises GatewayError: PROTOCOL for what is no balance, FAILED where the platform says that it has none to tell."""
    try:
        said = _object(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GatewayError.protocol("the upstream's word on the balance cannot be read") from error
    if said.get("status") is False or number(said.get("code") or 0) != 0 or said.get("error"):
        raise GatewayError(Kind.FAILED, f"the upstream does not tell the balance: {_why(body)}")
    inner = said.get("data", said)
    available = _available(inner) if isinstance(inner, dict) else None
    if available is None:
        raise GatewayError.protocol("the upstream's word on the balance names none")
    return Standing(now, balance=available, currency=currency)


def _available(data: dict[str, object]) -> float | None:
    available, voucher, cash = (number(data.get(f"{part}_balance")) for part in ("available", "voucher", "cash"))
    if available is not None or (voucher is None and cash is None):
        return available
    return (voucher or 0.0) + max(cash or 0.0, 0.0)


def _why(body: bytes) -> str:
    return " ".join(redact(error_of(body)[0]).split())[:200] or "no reason given"
