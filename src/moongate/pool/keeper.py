"""Looks after the accounts between requests: asks how they stand with their vendors, and whether those that rest are
back. It only ever mends: that a vendor's side page fails says nothing about whether the account can serve."""

import asyncio
import math
import traceback

import structlog
from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.redact import redact
from moongate.core.standing import Standing
from moongate.pool.calls import ask
from moongate.pool.pool import Pool
from moongate.pool.state import AccountState
from moongate.upstreams.driver import Transport

MENDED_BY_AN_ANSWER = frozenset(
    {Kind.CREDENTIAL_REFUSED, Kind.LOGIN_EXPIRED, Kind.ACCOUNT_BARRED, Kind.MISDIRECTED, Kind.UNREACHABLE}
)
"""Troubles that are over, as far as anybody can tell without a request, once the vendor answers any call."""

MENDED_BY_A_STANDING = frozenset({Kind.QUOTA_EXHAUSTED, Kind.BALANCE_EXHAUSTED})

_log = structlog.get_logger()


class Rounds(Struct, frozen=True):
    """Seconds between two looks at an account: usually, when its quota gets scarce, and when it rests. `tick`: how long
    at most until it is considered whether somebody is due."""

    usual: float = 300.0
    scarce: float = 60.0
    resting: float = 30.0
    tick: float = 5.0


USUAL = Rounds()


class Keeper:
    def __init__(self, pool: Pool, transport: Transport, rounds: Rounds = USUAL) -> None:
        self._pool = pool
        self._transport = transport
        self._rounds = rounds
        self._looked: dict[AccountState, float] = {}
        self._looking: set[AccountState] = set()

    async def run(self) -> None:
        """Until it is cancelled. A vendor that hangs keeps nobody from looking at the accounts of others."""
        async with asyncio.TaskGroup() as looks:
            while True:
                self._pool.troubled.clear()
                for state in self._due():
                    self._looking.add(state)
                    looks.create_task(self._look_safely(state))
                try:
                    async with asyncio.timeout(self._rounds.tick):
                        await self._pool.troubled.wait()
                except TimeoutError:
                    continue

    def _due(self) -> tuple[AccountState, ...]:
        now, states = asyncio.get_running_loop().time(), self._pool.states
        self._looked = {state: self._looked.get(state, -math.inf) for state in states}
        return tuple(
            state
            for state, looked in self._looked.items()
            if state not in self._looking and due_at(state, looked, now, self._rounds) <= now
        )

    async def _look_safely(self, state: AccountState) -> None:
        try:
            await self.look(state)
        except Exception as error:  # noqa: BLE001 - the boundary: a bug with one account ends no care for the others
            trace = redact("".join(traceback.format_exception(error)))
            _log.error("bug", account=state.account.name, trace=trace)
        finally:
            self._looking.discard(state)

    async def look(self, state: AccountState) -> None:
        """Ask the vendor about one account, and keep what it says."""
        asked = self._looked[state] = asyncio.get_running_loop().time()
        upstream = state.account.upstream
        try:
            standing: Standing | None = await ask(state.account, upstream.standing, self._transport)
            if standing is None and _troubles(state, asked) & MENDED_BY_AN_ANSWER:
                await ask(state.account, upstream.models, self._transport)
        except GatewayError as error:
            _log.info("account not asked", account=state.account.name, kind=error.kind.code, reason=error.message)
            return
        if standing is not None:
            self._pool.learn(state, standing, asked)
        self._pool.revive(state, MENDED_BY_AN_ANSWER)


def due_at(state: AccountState, looked: float, now: float, rounds: Rounds) -> float:
    """When to look again at an account that was last looked at at `looked`. Pure."""
    troubles = _troubles(state, now)
    if troubles & (MENDED_BY_AN_ANSWER | MENDED_BY_A_STANDING):
        began = max(health.rest.since for health in state.health.values() if health.rest is not None)
        tells_when = bool(troubles & MENDED_BY_A_STANDING) and began > looked
        return began if tells_when else max(looked, began) + rounds.resting
    windows = state.standing.windows if state.standing else ()
    is_scarce = any(window.is_scarce for window in windows)
    return looked + (rounds.scarce if is_scarce else rounds.usual)


def _troubles(state: AccountState, now: float) -> frozenset[Kind]:
    """What it rests for. A rest that is over waits for a request, not for us."""
    rests = (health.rest for health in state.health.values())
    return frozenset(rest.kind for rest in rests if rest is not None and rest.until > now)
