"""The facts of one request, gathered as it happens, and handed at its end to those who observe."""

from typing import Literal, Protocol, TypeAlias

from msgspec import Struct, field

from moongate.core.errors import GatewayError
from moongate.core.events import FinishReason
from moongate.core.identity import Caller
from moongate.core.route import Route
from moongate.core.tally import Cost

Outcome: TypeAlias = Literal["answered", "refused", "failed", "hung up"]
"""`refused`: it failed before the reply began, so the caller got a status. `failed`: the reply broke on its way, or
never came to its end; whatever did not show that it went well."""


ABANDONED = "abandoned"


class Attempt(Struct, frozen=True):
    """One try at one account. `error` is the kind's code, empty where it began to answer, `ABANDONED` where nobody
    waited for it any more; times in seconds. `cost`: of what came to nothing; what was answered is the exchange's."""

    account: str
    route: str
    seconds: float
    error: str = ""
    upstream_status: int | None = None
    cost: Cost | None = None


class Exchange(Struct):
    """The scratchpad of one request. `started` and `first_byte` are moments on a monotonic clock; `waited` are the
    seconds it waited for accounts, in all. `cost`: of the reply the caller heard, to its end or not."""

    request_id: str
    method: str
    path: str
    started: float
    client: str = ""
    caller: Caller | None = None
    model: str = ""
    stream: bool = False
    route: Route | None = None
    account: str = ""
    upstream_id: str = ""
    conversation: str = ""
    waited: float = 0.0
    attempts: list[Attempt] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    status: int = 0
    first_byte: float | None = None
    cost: Cost | None = None
    reason: FinishReason | None = None
    failure: GatewayError | None = None
    outcome: Outcome = "failed"


class Record(Struct, frozen=True):
    """An exchange that is over. `seconds` in all, `first_byte` from the start; None where nothing came."""

    exchange: Exchange
    seconds: float
    first_byte: float | None


class Observer(Protocol):
    """Told of every request once it is over. It may not fail, wait, or change what it is told."""

    def observe(self, record: Record) -> None: ...


def close(exchange: Exchange, now: float) -> Record:
    began = exchange.first_byte
    return Record(exchange, now - exchange.started, None if began is None else began - exchange.started)
