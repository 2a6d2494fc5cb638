"""`moongate check`: tries every account for real, all at once, and says what is wrong with which."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from rich.console import Console
from rich.text import Text

from moongate.commands import tables
from moongate.commands.given import TROUBLE, WELL, say, settings_of
from moongate.core.errors import GatewayError
from moongate.core.standing import Standing
from moongate.pool.account import Account
from moongate.pool.calls import ask
from moongate.pool.report import CheckReport
from moongate.settings import Settings
from moongate.upstreams.driver import Incoming, Transport
from moongate.wire.http import HttpCall, HttpReply
from moongate.wire.moments import http_date

SKEW_ALLOWED = 60.0
"""Seconds this machine's clock may be off before logins are taken for expired, or for good when they are not."""

NO_ACCOUNT = (
    "No account is configured, so there is nothing to check: `moongate serve` would start in demo mode.\n"
    "Set KIMI_API_KEY (platform) or KIMI_CODE_API_KEY (Kimi Code), here or in .env, or `moongate login kimi-code`.\n"
    "尚未配置任何账号：设置 KIMI_API_KEY 或 KIMI_CODE_API_KEY，或运行 moongate login kimi-code 后再试。"
)


AccountsOf: TypeAlias = Callable[[Settings], AbstractAsyncContextManager[tuple[tuple[Account, ...], Transport]]]
"""How accounts and the way to their upstreams are had for as long as a block lasts."""


def checked(given: Mapping[str, object], accounts_of: AccountsOf, *, as_json: bool) -> int:
    """Prints what came of it; the exit code."""
    settings = settings_of(given)
    out = tables.console()
    if not settings.accounts:
        say(NO_ACCOUNT)
        reports: tuple[CheckReport, ...] = ()
    else:
        reports = asyncio.run(_all(settings, accounts_of))
    if as_json:
        out.file.write(f"{tables.as_json(reports)}\n")
    elif reports:
        out.print(tables.checks_table(reports, tables.seen(out, time.time())))
    return WELL if reports and not any(report.problem for report in reports) else TROUBLE


async def _all(settings: Settings, accounts_of: AccountsOf) -> tuple[CheckReport, ...]:
    """In the order of the accounts. On a terminal it is said which of them are still to come."""
    async with accounts_of(settings) as (accounts, transport):
        done: dict[str, CheckReport] = {}
        waiting = [account.name for account in accounts]
        with Console(stderr=True, markup=False).status(_asking(waiting)) as status:
            async for report in check(accounts, transport):
                done[report.name] = report
                waiting.remove(report.name)
                status.update(_asking(waiting))
        return tuple(done[account.name] for account in accounts)


def _asking(names: Sequence[str]) -> Text:
    return Text(f"asking {', '.join(names)}")


async def check(
    accounts: Sequence[Account], transport: Transport, clock: Callable[[], float] = time.time
) -> AsyncIterator[CheckReport]:
    """A report of each account, as they come. What is wrong with one is in its report and stops no other."""
    tasks = [asyncio.create_task(check_one(account, transport, clock)) for account in accounts]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def check_one(account: Account, transport: Transport, clock: Callable[[], float] = time.time) -> CheckReport:
    """`clock` in seconds since 1970."""
    timed = Timed(transport, clock)
    models: tuple[str, ...] = ()
    standing: Standing | None = None
    problem = ""
    try:
        models = tuple(model.id for model in await ask(account, account.upstream.models, timed))
    except GatewayError as error:
        problem = error.message
    else:
        try:
            standing = await ask(account, account.upstream.standing, timed)
        except GatewayError as error:
            problem = f"it answers, but not how it stands: {error.message}"
    problems = filter(None, (problem, spent(standing), skewed(timed.skew)))
    return CheckReport(
        name=account.name,
        upstream=account.upstream.name,
        credential=account.credential.shown,
        problem="; ".join(problems),
        models=models,
        standing=standing,
        clock_skew=timed.skew,
        seconds=timed.slowest,
    )


class Timed:
    """A transport that notices how long its calls take, and what time it is where they are answered."""

    def __init__(self, transport: Transport, clock: Callable[[], float]) -> None:
        self.slowest = 0.0
        self.skew: float | None = None
        self._transport = transport
        self._clock = clock

    async def fetch(self, call: HttpCall) -> HttpReply:
        loop, began, sent = asyncio.get_running_loop(), asyncio.get_running_loop().time(), self._clock()
        try:
            reply = await self._transport.fetch(call)
        finally:
            self.slowest = max(self.slowest, loop.time() - began)
        theirs = http_date(reply.head.headers, "date")
        if theirs is not None:  # it counts whole seconds, and was written somewhere between our two looks
            self.skew = (sent + self._clock()) / 2 - (theirs + 0.5)
        return reply

    def stream(self, call: HttpCall) -> AbstractAsyncContextManager[Incoming]:
        return self._transport.stream(call)


def spent(standing: Standing | None) -> str:
    """What keeps an account from being served though it answers; empty if nothing does."""
    if standing is None:
        return ""
    if standing.is_broke:
        return f"no money is left: the balance is {standing.money}"
    names = " and ".join(window.name for window in standing.used_up)
    return f"the plan's quota is used up: {names}" if names else ""


def skewed(skew: float | None) -> str:
    """What is wrong with this machine's clock, `skew` seconds ahead of theirs; empty if nothing is."""
    if skew is None or abs(skew) <= SKEW_ALLOWED:
        return ""
    amount = f"{abs(skew):.0f} s" if abs(skew) < 120 else f"{abs(skew) / 60:.0f} min"
    where = "ahead of" if skew > 0 else "behind"
    return f"this machine's clock is {amount} {where} the upstream's: logins fail then; set it right"
