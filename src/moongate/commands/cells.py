"""What stands in the cells of the tables: how an account fares, how it stands with its vendor, and when."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

from msgspec import Struct
from rich.text import Text

from moongate.commands.words import Words
from moongate.core.standing import Standing, Window
from moongate.pool.report import AccountReport, CheckReport

REASON_SHOWN = 200
"""Characters of a vendor's reason; a problem is shown whole."""

MODELS_SHOWN = 3
BAR = 5

STYLES = {"ready": "green", "busy": "yellow", "resting": "yellow", "trial": "yellow", "out": "bold red"}


class Seen(Struct, frozen=True):
    """From where it is looked at: now, in seconds since 1970, the zone of the clock on the wall (None for this
    machine's), the words, whether there is room, and the letters a bar and an arrow are drawn with."""

    now: float
    words: Words
    zone: tzinfo | None = None
    is_wide: bool = False
    full: str = "█"
    empty: str = "░"
    arrow: str = "→"


# How it fares.


def state(report: AccountReport, look: Seen) -> Text:
    said = look.words
    head = Text(said.states[report.state], STYLES[report.state])
    if report.kind:
        head.append(f": {said.kinds.get(report.kind, report.kind)}")
    is_off = report.state in ("resting", "out")
    until = said.unchanged if report.until is None else said.until.format(_moment(report.until, look))
    parts = [Text(_rest(rested.scope, rested.kind, rested.until, look), "yellow") for rested in report.resting]
    return _lines(head, until if is_off else None, Text(clean(report.reason)[:REASON_SHOWN], "dim"), *parts)


def _rest(scope: str, kind: str, until: float | None, look: Seen) -> str:
    said = look.words
    when = said.unchanged if until is None else said.until.format(_moment(until, look))
    return f"{clean(scope)}: {said.kinds.get(kind, kind)}, {when}"


def result(report: CheckReport, look: Seen) -> Text:
    head = Text(clean(report.problem), "red") if report.problem else Text(look.words.well, "green")
    return _lines(head, stands(report.standing, look))


def requests(report: AccountReport, said: Words) -> Text:
    most = "" if report.max_concurrency is None else f"/{report.max_concurrency}"
    return _lines(
        said.now.format(f"{report.leased}{most}"),
        said.served.format(report.served),
        Text(said.failed.format(report.failed), "red") if report.failed else None,
    )


def models(models: Sequence[str], said: Words) -> Text:
    beyond = len(models) - MODELS_SHOWN
    return _lines(*map(clean, models[:MODELS_SHOWN]), said.more.format(beyond) if beyond > 0 else None)


def took(report: CheckReport, said: Words) -> Text:
    skew = report.clock_skew
    is_off = skew is not None and abs(skew) >= 1
    return _lines(said.seconds.format(report.seconds), said.clock.format(f"{skew:+.0f} s") if is_off else None)


# How it stands.


def stands(standing: Standing | None, look: Seen) -> Text:
    if standing is None:
        return Text("")
    longest = max((len(window.name) for window in standing.windows), default=0)
    money = "" if standing.balance is None else f"{standing.balance:,.2f} {standing.currency}".strip()
    broke = standing.balance is not None and standing.balance <= 0
    return _lines(
        clean(standing.plan),
        *(_window(window, longest, look) for window in standing.windows),
        Text(look.words.balance.format(money), "red" if broke else "") if money else None,
    )


def _window(window: Window, longest: int, look: Seen) -> Text:
    full = round(min(1.0, window.used) * BAR)
    style = "red" if window.is_exhausted else "yellow" if window.is_scarce else "green"
    line = Text(f"{window.name:<{longest}} ")
    line.append(look.full * full + look.empty * (BAR - full), style)
    line.append(f" {_percent(window.used):>4}")
    if window.resets_at is not None:
        line.append(f" {look.arrow} {_clock(window.resets_at, look, '%m-%d')}")
    return line


def _percent(used: float) -> str:
    """Rounded down: what is not used up shall not look so."""
    return f"{math.floor(min(used, 9.99) * 100 + 1e-9)}%"


# Time.


def _moment(at: float, look: Seen) -> str:
    return f"{_clock(at, look, '%m-%d %H:%M')} ({_wait(at - look.now, look.words)})"


def _clock(at: float, look: Seen, later: str) -> str:
    """The time of day, or in the form `later` from tomorrow's on."""
    is_near = at - look.now < 24 * 3600
    return datetime.fromtimestamp(at, UTC).astimezone(look.zone).strftime("%H:%M" if is_near else later)


def _wait(seconds: float, said: Words) -> str:
    units = (("s", 1, 90), ("min", 60, 90 * 60), ("h", 3600, 48 * 3600), ("d", 24 * 3600, math.inf))
    unit, size = next((unit, size) for unit, size, below in units if seconds < below)
    return said.waits[unit].format(max(0, math.ceil(seconds / size - 1e-9)))


def _lines(*lines: Text | str | None) -> Text:
    return Text("\n").join(Text(line) if isinstance(line, str) else line for line in lines if line)


def who(name: str, upstream: str, credential: str) -> Text:
    return _lines(Text(name, "bold"), Text(f"{upstream} {credential}".strip(), "dim"))


def clean(text: str) -> str:
    """On one line, without what would move a terminal's cursor."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
