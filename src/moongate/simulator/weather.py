"""Faults by chance: what befalls chat requests that nobody has planned for."""

import random
from collections.abc import Callable, Iterable

import msgspec

from moongate.simulator.script import DEFAULT, Script
from moongate.simulator.values import JsonObject

Chances = Iterable[tuple[float, Script]]

_SPEECH = frozenset(("reasoning", "text", "tools"))


class Weather:
    """Fair until it is set."""

    def __init__(self) -> None:
        self._random = random.Random(0)  # noqa: S311 - faults, not secrets
        self._rows: list[tuple[float, JsonObject]] = []

    def set(self, seed: int, chances: Chances) -> Callable[[], None]:
        """From now on each row befalls its share of requests, from 0 to 1, until the returned function is called.

        Raises ValueError where a share is negative or all together exceed 1.
        """
        rows = [(share, _faults(script)) for share, script in chances]
        if any(not share >= 0 for share, _ in rows) or sum(share for share, _ in rows) > 1 + 1e-9:
            raise ValueError("chances must be shares, and at most 1 together")
        self._random, self._rows = random.Random(seed), rows  # noqa: S311
        return lambda: self._end(rows)

    def clear(self) -> None:
        self._rows = []

    def befalls(self, script: Script) -> Script:
        """The script with what it meets: what it says is its own, if it says anything, and the faults go over it."""
        faults = self._drawn() if self._rows else {}
        if not faults:
            return script
        speaks = any(getattr(script, name) is not None for name in _SPEECH)
        kept = {name: value for name, value in faults.items() if not (speaks and name in _SPEECH)}
        return msgspec.structs.replace(script, **kept)

    def _drawn(self) -> JsonObject:
        draw = self._random.random()
        for share, faults in self._rows:
            draw -= share
            if draw < 0:
                return faults
        return {}

    def _end(self, rows: list[tuple[float, JsonObject]]) -> None:
        if self._rows is rows:
            self.clear()


def _faults(script: Script) -> JsonObject:
    """The fields that are not as usual."""
    values = ((name, getattr(script, name), getattr(DEFAULT, name)) for name in Script.__struct_fields__)
    return {name: value for name, value, usual in values if value != usual}
