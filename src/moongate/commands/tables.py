"""Reports of accounts as tables for people, and as JSON for programs."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TextIO

import msgspec
from msgspec import structs
from rich import box
from rich.console import Console
from rich.table import Table

from moongate.commands import cells
from moongate.commands.cells import Seen
from moongate.commands.words import words
from moongate.pool.report import AccountReport, CheckReport

PIPED_WIDTH = 120
"""Columns where there is no terminal to ask."""

PLAN_WIDTH = 29
"""Columns of a window of a plan with its bar and its reset."""

MODELS_WIDTH, MODELS_WIDTH_IF_WIDE, WIDE = 16, 26, 100
"""Columns for the names of models: from so many columns in all on, enough for the longest there is."""

MOMENTS = frozenset({"until", "asked_at", "resets_at"})


def console(file: TextIO | None = None) -> Console:
    """Colours only on a terminal; a locale without the letters of a table gets others instead of a failure."""
    file = file or sys.stdout
    if hasattr(file, "reconfigure"):
        file.reconfigure(errors="replace")
    return Console(file=file, width=None if file.isatty() else PIPED_WIDTH, highlight=False, markup=False)


def seen(on: Console, now: float) -> Seen:
    """With letters that the output has."""
    look = Seen(now, words(os.environ), is_wide=on.width >= WIDE)
    return look if on.encoding.startswith("utf") else structs.replace(look, full="#", empty=".", arrow=">")


def accounts_table(reports: Iterable[AccountReport], look: Seen) -> Table:
    said = look.words
    table = _table()
    table.add_column(said.account, overflow="fold", no_wrap=True)
    table.add_column(said.state, overflow="fold")
    table.add_column(said.left, overflow="fold", width=PLAN_WIDTH)
    table.add_column(said.requests, no_wrap=True)
    for report in reports:
        table.add_row(
            cells.who(report.name, report.upstream, report.credential),
            cells.state(report, look),
            cells.stands(report.standing, look),
            cells.requests(report, said),
        )
    return table


def checks_table(reports: Iterable[CheckReport], look: Seen) -> Table:
    said = look.words
    table = _table()
    table.add_column(said.account, overflow="fold", no_wrap=True)
    table.add_column(said.result, overflow="fold")
    table.add_column(said.models, overflow="fold", width=MODELS_WIDTH_IF_WIDE if look.is_wide else MODELS_WIDTH)
    table.add_column(said.took, no_wrap=True)
    for report in reports:
        table.add_row(
            cells.who(report.name, report.upstream, report.credential),
            cells.result(report, look),
            cells.models(report.models, said),
            cells.took(report, said),
        )
    return table


def as_json(reports: Sequence[AccountReport] | Sequence[CheckReport]) -> str:
    """Moments in seconds since 1970 and, under the same name with `_iso`, as text in UTC."""
    told = {"accounts": [_with_dates(msgspec.to_builtins(report)) for report in reports]}
    return json.dumps(told, ensure_ascii=False, indent=2)


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False, header_style="bold", leading=1)


def _with_dates(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_with_dates(item) for item in value]
    if not isinstance(value, dict):
        return value
    told: dict[str, object] = {}
    for name, item in value.items():
        told[name] = _with_dates(item)
        if name in MOMENTS:
            told[f"{name}_iso"] = (
                None if item is None else datetime.fromtimestamp(item, UTC).isoformat(timespec="seconds")
            )
    return told
