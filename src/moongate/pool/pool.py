"""Lends accounts. A lease is a scope: the account is ours until the block ends, however it ends.

Accounts that can serve a route take turns, the least busy first.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Set
from contextlib import asynccontextmanager
from itertools import count

from msgspec import Struct

from moongate.core.errors import GatewayError, Kind
from moongate.core.route import Route
from moongate.pool.account import Account


class PoolStatistics(Struct, frozen=True):
    accounts: int
    leased: int


class Pool:
    def __init__(self, accounts: Iterable[Account]) -> None:
        self.accounts = tuple(accounts)
        self._leased: Counter[str] = Counter()
        self._last_used: dict[str, int] = {}
        self._turns = count(1)

    def statistics(self) -> PoolStatistics:
        return PoolStatistics(len(self.accounts), self._leased.total())

    @asynccontextmanager
    async def lease(self, route: Route, own: tuple[Account, ...], avoid: Set[str]) -> AsyncIterator[Account]:
        """One of `own`, or of the configured accounts where that is empty, that serves `route` and is not in `avoid`.

        Raises GatewayError (NO_ACCOUNT).
        """
        account = self._pick([a for a in own or self.accounts if a.serves(route) and a.name not in avoid])
        self._leased[account.name] += 1
        self._last_used[account.name] = next(self._turns)
        try:
            yield account
        finally:
            self._leased[account.name] -= 1
            if account.is_callers:
                self._forget(account)

    def _pick(self, able: list[Account]) -> Account:
        free = [a for a in able if a.max_concurrency is None or self._leased[a.name] < a.max_concurrency]
        if not free:
            message = "every account for this model is at its limit" if able else "no account can serve this model now"
            raise GatewayError(Kind.NO_ACCOUNT, message, retry_after=1 if able else None)
        return min(free, key=lambda a: (self._leased[a.name], self._last_used.get(a.name, 0)))

    def _forget(self, account: Account) -> None:
        if not self._leased[account.name]:
            del self._leased[account.name]
            self._last_used.pop(account.name, None)
