"""What the simulator has seen and is about to do: one record a request, and the queue of scripts. No HTTP."""

import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

from moongate.simulator.plan import Outcome
from moongate.simulator.script import On, Script
from moongate.simulator.tokens import Usage
from moongate.simulator.values import JsonObject

_KEPT: Final = 1000
_SECRET_HEADERS: Final = frozenset(("authorization", "proxy-authorization", "x-api-key", "cookie"))
_SECRET_MEMBERS: Final = re.compile(rb"((?:^|&)(?:refresh_token|device_code)=)([^&]*)")


class Seen(msgspec.Struct, kw_only=True):
    """One request as it came, and how it ended; `ended` is None while it is in progress.

    Times are monotonic seconds. `hung_up_at` is also set when the client went after the answer was out. `billed` is
    what a provider would charge: nothing for a refusal, and of an answer that broke off the prompt and the share
    of the completion that was told.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    json: object
    came_at: float
    ended: Outcome | Literal["hung_up"] | None = None
    ended_at: float | None = None
    hung_up_at: float | None = None
    status: int | None = None
    billed: Usage = Usage()

    @property
    def billed_tokens(self) -> int:
        return self.billed.prompt + self.billed.completion

    def end(self, outcome: Outcome) -> None:
        """The first outcome stands."""
        if self.ended is None:
            self.ended, self.ended_at = outcome, time.monotonic()

    def hang_up(self) -> None:
        self.hung_up_at = time.monotonic()
        if self.ended is None:
            self.ended, self.ended_at = "hung_up", self.hung_up_at

    def told(self, usage: Usage, share: float) -> None:
        completion = math.ceil(usage.completion * share)
        reasoning = None if usage.reasoning is None else min(usage.reasoning, completion)
        self.billed = msgspec.structs.replace(usage, completion=completion, reasoning=reasoning)

    def as_json(self) -> JsonObject:
        """The record with its body as text."""
        fields = zip(self.__struct_fields__, msgspec.structs.astuple(self), strict=True)
        record: JsonObject = {name: value for name, value in fields if name not in ("body", "billed")}
        return {**record, "body": self.body.decode("utf-8", "replace"), "billed": msgspec.structs.asdict(self.billed)}


def masked(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers by lower-case name; of a credential only the last 4 characters remain."""
    return {name.lower(): _mask(value) if name.lower() in _SECRET_HEADERS else value for name, value in headers.items()}


def masked_form(body: bytes) -> bytes:
    """A form with the codes and tokens in it shortened likewise."""
    return _SECRET_MEMBERS.sub(lambda found: found[1] + "…".encode() + found[2][-4:] * (len(found[2]) > 4), body)


def _mask(value: str) -> str:
    scheme, space, secret = value.rpartition(" ")
    return f"{scheme}{space}…{secret[-4:] if len(secret) > 4 else ''}"


class Queue:
    """Scripts waiting for the requests they will answer, in order."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str | None, Script]] = []
        self._standing: list[tuple[str | None, Script]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, script: Script, credential: str | None) -> None:
        self._waiting.append((credential, script))

    def take(self, on: On, credential: str) -> Script | None:
        """The first script for this kind of request and this credential or any."""
        for number, (wanted, script) in enumerate(self._waiting):
            if script.on == on and wanted in (None, credential):
                del self._waiting[number]
                return script
        return next((s for wanted, s in self._standing if s.on == on and wanted in (None, credential)), None)

    def stand(self, script: Script, credential: str | None) -> Callable[[], None]:
        """Every request that no waiting script answers, until the returned function is called."""
        rule = (credential, script)
        self._standing.append(rule)
        return lambda: self._end(rule)

    def clear(self) -> None:
        self._waiting.clear()
        self._standing.clear()

    def _end(self, rule: tuple[str | None, Script]) -> None:
        """It may have been cleared before."""
        self._standing = [standing for standing in self._standing if standing is not rule]


def keep(seen: list[Seen], record: Seen) -> None:
    """Append, and forget the oldest beyond 1000, for a server that runs for days."""
    seen.append(record)
    del seen[:-_KEPT]
