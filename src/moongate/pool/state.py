"""What the pool knows of one account while it runs: how busy it is, how it fares, and how it stands with its vendor."""

import math
from collections.abc import Iterator

from msgspec import Struct, field

from moongate.core.errors import Kind
from moongate.core.standing import Standing
from moongate.pool.account import Account
from moongate.pool.health import CONSEQUENCES, WELL, Health, Scope
from moongate.pool.limits import Limits

MOST_SCOPES = 200
"""States kept of one account; the oldest go first. There are as many as it has models in trouble."""


class AccountState(Struct, eq=False):
    """`turn`: when it was last leased, counted in leases. `on_trial`: the scopes for which a request is under way that
    will tell whether a rest is really over."""

    account: Account
    limits: Limits
    leased: int = 0
    turn: int = 0
    served: int = 0
    failed: int = 0
    health: dict[str, Health] = field(default_factory=dict)
    on_trial: set[str] = field(default_factory=set)
    standing: Standing | None = None

    @classmethod
    def of(cls, account: Account) -> "AccountState":
        return cls(account, Limits(account))

    def become(self, account: Account) -> None:
        """The same account, of which the operator has changed something."""
        self.account = account
        self.limits.become(account)

    def pardon(self) -> None:
        """Forget all that is held against it."""
        self.health.clear()
        self.on_trial.clear()
        self.limits.forget(math.inf)

    @property
    def is_full(self) -> bool:
        most = self.limits.max_concurrency
        return most is not None and self.leased >= most

    def scopes(self, model: str) -> tuple[str, str, str]:
        """The keys under which the states that concern a model are kept."""
        return "account", f"group {self.account.upstream.group(model)}", f"model {model}"

    def scope(self, kind: Kind, model: str) -> str:
        """The key of the state that a failure of this kind concerns."""
        names: tuple[Scope, ...] = ("account", "group", "model")
        return self.scopes(model)[names.index(CONSEQUENCES[kind].scope)]

    def troubles(self, model: str) -> Iterator[tuple[str, Health]]:
        """What is known against it, of what concerns a model."""
        if self.health:
            for scope in self.scopes(model):
                if (health := self.health.get(scope)) is not None:
                    yield scope, health

    def note(self, scope: str, health: Health) -> None:
        """Only trouble is kept."""
        self.health.pop(scope, None)
        if health != WELL:
            self.health[scope] = health
            if len(self.health) > MOST_SCOPES:
                del self.health[next(iter(self.health))]
