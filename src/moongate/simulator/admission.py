"""Whether an account is served: rules over what the vendor holds about it, first hit wins. Pure but for `count`."""

import math
from collections.abc import Callable
from typing import Final

import msgspec

from moongate.simulator import tokens
from moongate.simulator.accounts import AccountState
from moongate.simulator.asked import Asked
from moongate.simulator.catalogue import CATALOGUE
from moongate.simulator.models import Product
from moongate.simulator.refusals import Refusal, model_not_found, plan_lacks, too_many, too_many_tokens

Rule = Callable[[AccountState, Asked, float], Refusal | None]

TEXTS: Final = {"5h": "five_hour_quota", "7d": "weekly_quota"}
"""The refusal for each window that is full; the others are billing cycles."""


def refusal(state: AccountState, asked: Asked, now: float) -> Refusal | None:
    """Why a chat request is not served, if it is not; `now` is in seconds since 1970."""
    return next((refused for rule in _RULES if (refused := rule(state, asked, now)) is not None), None)


def count(state: AccountState, asked: Asked, now: float) -> None:
    """A request is served."""
    state.requests.add(1, now)
    for limit, meter in ((state.tpm, state.minute), (state.tpd, state.day)):
        if limit is not None:
            meter.add(_cost(asked), now)
    for window in state.windows_of(asked.model.id).values():
        window.used += 1


def _model(state: AccountState, asked: Asked, now: float) -> Refusal | None:
    name = asked.model.id
    if state.models is None or name in state.models:
        return None
    return model_not_found(name) if asked.product is Product.PLATFORM else plan_lacks(name)


def _money(state: AccountState, asked: Asked, now: float) -> Refusal | None:
    in_debt = asked.product is Product.PLATFORM and state.available <= 0
    return CATALOGUE["insufficient_balance"] if in_debt else None


def _quota(state: AccountState, asked: Asked, now: float) -> Refusal | None:
    windows = state.windows_of(asked.model.id)
    for window in windows.values():
        window.roll(now)
    full = next((name for name, window in windows.items() if window.is_full), None)
    boosted = state.booster is not None and state.booster.left > 0
    return None if full is None or boosted else CATALOGUE[TEXTS.get(full, "billing_cycle_quota")]


def _concurrency(state: AccountState, asked: Asked, now: float) -> Refusal | None:
    most = state.max_concurrency
    if most is None or state.active < most:
        return None
    return _rated(state, asked, too_many("concurrency", most, 1), 1)


def _requests(state: AccountState, asked: Asked, now: float) -> Refusal | None:
    most = state.rpm
    if most is None or state.requests.total(now) < most:
        return None
    wait = _seconds(state.requests.wait(most - 1, now))
    return _rated(state, asked, too_many("RPM", most, wait), wait)


def _tokens(state: AccountState, asked: Asked, now: float) -> Refusal | None:
    for name, limit, meter in (("TPM", state.tpm, state.minute), ("TPD", state.tpd, state.day)):
        if limit is None:
            continue
        cost = _cost(asked)
        if (current := meter.total(now) + cost) > limit:
            wait = _seconds(meter.wait(limit - cost, now))
            return _rated(state, asked, too_many_tokens(name, current, limit), wait)
    return None


_RULES: Final[tuple[Rule, ...]] = (
    _model,
    _money,
    _quota,
    _concurrency,
    _requests,
    _tokens,
)


def _cost(asked: Asked) -> int:
    """What a limit on tokens counts of a request. How the vendor reckons is unknown; this is what it is said to do."""
    return tokens.prompt_tokens(asked) + asked.output_limit


def _seconds(wait: float) -> int:
    return max(1, math.ceil(wait))


def _rated(state: AccountState, asked: Asked, words: Refusal, seconds: int) -> Refusal:
    """The platform's words tell the limit; Kimi Code was only seen to say that there are too many requests."""
    said = words if asked.product is Product.PLATFORM else CATALOGUE["too_many_requests"]
    headers = {"Retry-After": str(seconds)} if state.retry_after_header else {}
    return msgspec.structs.replace(said, headers=headers)
