"""Takes over what the operator changes while the gateway runs. What is wrong is told and not taken."""

import asyncio
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog

from moongate.app import Running, doors
from moongate.settings import Settings, SettingsError, load, needs_restart, while_running
from moongate.telemetry import log
from moongate.watching import EVERY, changes

_log = structlog.get_logger()


class Reloading:
    """`settings`: those the gateway serves by. `given`: the command line's, which stay. `directory`: where it started.

    `every` in seconds: how often the files are looked at.
    """

    def __init__(
        self,
        gateway: Running,
        settings: Settings,
        given: Mapping[str, object],
        directory: Path = Path(),
        every: float = EVERY,
    ) -> None:
        self.settings = settings
        self._gateway = gateway
        self._given = given
        self._directory = directory
        self._every = every

    async def run(self) -> None:
        """Until it is cancelled. Looks at the files of settings, and listens for SIGHUP."""
        called = asyncio.Event()
        with _called_by_hangup(called):
            async for _ in changes(lambda: self.settings.sources, called, self._every):
                await self.take()

    async def take(self) -> None:
        """Serve by the settings as they stand written now, or as before where they are wrong."""
        try:
            written = load(self._given, directory=self._directory)
            new = while_running(self.settings, written)
            entrance = doors(new) if new != self.settings else None
        except (SettingsError, OSError, ValueError) as error:
            _log.error("settings not taken", reason=str(error))
            return
        if later := needs_restart(self.settings, written):
            _log.warning("settings wait for a restart", settings=later)
        if entrance is None:
            return
        if new.log != self.settings.log:
            configure_log(new)
        await self._gateway.take(new, entrance.policy)
        self.settings = new
        _log.info("settings taken", accounts=[account.name for account in new.accounts])
        if entrance.new_key:
            _log.warning("a key for callers was made", hint="it is told at a start: stop, delete keys.json, start")


def configure_log(settings: Settings) -> None:
    as_json = settings.log.format == "json" or (settings.log.format == "auto" and not sys.stderr.isatty())
    log.configure("DEBUG" if settings.log.debug else settings.log.level, as_json=as_json)


@contextmanager
def _called_by_hangup(called: asyncio.Event) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, called.set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
