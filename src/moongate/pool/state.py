"""What the pool knows of one account while it runs: how busy it is, how it fares, and how it stands with its vendor."""

from collections.abc import Iterator

from msgspec import Struct, field

from moongate.core.errors import Kind
from moongate.core.standing import Standing
from moongate.pool.account import Account
from moongate.pool.health import CONSEQUENCES, WELL, Health, Scope
from moongate.pool.pace import Pace

MOST_SCOPES = 200
"""States kept of one account; the oldest go first. There are as many as it has models in trouble."""


class AccountState(Struct, eq=False):
    """`turn`: when it was last leased, counted in leases. `on_trial`: the scopes for which a request is under way that
    will tell whether a rest is really over."""

    account: Account
    leased: int = 0
    turn: int = 0
    served: int = 0
    failed: int = 0
    health: dict[str, Health] = field(default_factory=dict)
    on_trial: set[str] = field(default_factory=set)
    requests: Pace | None = None
    tokens: Pace | None = None
    standing: Standing | None = None

    @classmethod
    def of(cls, account: Account) -> "AccountState":
        return cls(
            account,
            requests=Pace(account.rpm) if account.rpm else None,
            tokens=Pace(account.tpm) if account.tpm else None,
        )

    def become(self, account: Account) -> None:
        """The same account, of which the operator has changed something."""
        if account.rpm != self.account.rpm:
            self.requests = Pace(account.rpm) if account.rpm else None
        if account.tpm != self.account.tpm:
            self.tokens = Pace(account.tpm) if account.tpm else None
        self.account = account

    @property
    def is_full(self) -> bool:
        limit = self.account.max_concurrency
        return limit is not None and self.leased >= limit

    def opens(self, tokens: int, now: float) -> float:
        """When its own pace allows another request of so many tokens: `now`, or later."""
        by_requests = self.requests.opens(1, now) if self.requests else now
        by_tokens = self.tokens.opens(tokens, now) if self.tokens else now
        return max(by_requests, by_tokens)

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
