"""What the pool knows of one account while it runs: how busy it is, how it fares, and how it stands with its vendor."""

from collections.abc import Iterator

from msgspec import Struct, field

from moongate.core.errors import Kind
from moongate.core.limit import Limit, LimitName
from moongate.core.standing import Standing
from moongate.pool.account import Account
from moongate.pool.health import CONSEQUENCES, WELL, Health, Scope
from moongate.pool.pace import Pace

MOST_SCOPES = 200
"""States kept of one account; the oldest go first. There are as many as it has models in trouble."""


LEARNED = 600.0
"""Seconds for which a limit is kept that the vendor told: an account may be given more any day, and says so to nobody.
When it is forgotten, the next refusal tells it again."""


class Learned(Struct, frozen=True):
    """`until` on the pool's clock."""

    amount: int
    until: float


class AccountState(Struct, eq=False):
    """`turn`: when it was last leased, counted in leases. `on_trial`: the scopes for which a request is under way that
    will tell whether a rest is really over. `learned`: limits that its vendor told when they were reached;
    `max_concurrency`, `requests` and `tokens` keep to them, and to the operator's."""

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
    max_concurrency: int | None = None
    learned: dict[LimitName, Learned] = field(default_factory=dict)

    @classmethod
    def of(cls, account: Account) -> "AccountState":
        state = cls(account)
        state._keep_to_limits()
        return state

    def become(self, account: Account) -> None:
        """The same account, of which the operator has changed something."""
        self.account = account
        self._keep_to_limits()

    def heed(self, limit: Limit, now: float) -> bool:
        """Keep to what the vendor said that it allows. Whether that is news. What allows nothing is none to keep to:
        nobody would ever ask again."""
        if limit.amount < 1:
            return False
        known = self.learned.get(limit.name)
        self.learned[limit.name] = Learned(limit.amount, now + LEARNED)
        self._keep_to_limits()
        return known is None or known.amount != limit.amount

    def forget(self, now: float) -> None:
        """Limits that were learned too long ago."""
        if any(learned.until <= now for learned in self.learned.values()):
            self.learned = {name: learned for name, learned in self.learned.items() if learned.until > now}
            self._keep_to_limits()

    def pardon(self) -> None:
        self.health.clear()
        self.on_trial.clear()
        self.learned.clear()
        self._keep_to_limits()

    @property
    def is_full(self) -> bool:
        return self.max_concurrency is not None and self.leased >= self.max_concurrency

    def opens(self, tokens: int, now: float) -> float:
        """When its own pace allows another request of so many tokens: `now`, or later."""
        by_requests = self.requests.opens(1, now) if self.requests else now
        by_tokens = self.tokens.opens(tokens, now) if self.tokens else now
        return max(by_requests, by_tokens)

    def _keep_to_limits(self) -> None:
        account = self.account
        self.max_concurrency = self._least("concurrency", account.max_concurrency)
        self.requests = _paced(self.requests, self._least("rpm", account.rpm))
        self.tokens = _paced(self.tokens, self._least("tpm", account.tpm))

    def _least(self, name: LimitName, ours: int | None) -> int | None:
        learned = self.learned.get(name)
        if learned is None or ours is None:
            return ours if learned is None else learned.amount
        return min(ours, learned.amount)

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


def _paced(pace: Pace | None, limit: int | None) -> Pace | None:
    """What was taken already still counts under another limit."""
    if limit is None:
        return None
    if pace is None:
        return Pace(limit)
    pace.limit = limit
    return pace
