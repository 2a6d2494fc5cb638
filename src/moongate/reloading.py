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
        self._at_fault: Path | None = None
        self._waiting: tuple[str, ...] = ()

    async def run(self) -> None:
        """Until it is cancelled. Looks at the files of settings, and listens for SIGHUP."""
        called = asyncio.Event()
        with _called_by_hangup(called):
            async for _ in changes(self._watched, called, self._every):
                await self.take()

    async def take(self) -> None:
        """Serve by the settings as they stand written now, or as before where they are wrong."""
        self._at_fault = None
        try:
            written = self._written()
            self._tell_of(needs_restart(self.settings, written))
            new = while_running(self.settings, written if written.home == self.settings.home else self._written_here())
            if new != self.settings:
                await self._serve_by(new)
        except (SettingsError, OSError, ValueError) as error:
            _log.error("settings not taken", reason=str(error))
            self._at_fault = error.file if isinstance(error, SettingsError) else None

    def _watched(self) -> tuple[Path, ...]:
        """With the file that was at fault when the settings were last read."""
        return self.settings.sources if self._at_fault is None else (*self.settings.sources, self._at_fault)

    def _tell_of(self, waiting: tuple[str, ...]) -> None:
        """Once, and not again with every other change."""
        if waiting and waiting != self._waiting:
            _log.warning("settings wait for a restart", settings=waiting)
        self._waiting = waiting

    def _written(self, **instead: object) -> Settings:
        """Raises SettingsError."""
        return load({**self._given, **instead}, directory=self._directory)

    def _written_here(self) -> Settings:
        """As they would be if the home were still the one this gateway keeps until its end, with the logins there."""
        return self._written(MOONGATE_HOME=str(self.settings.home.absolute()))

    async def _serve_by(self, new: Settings) -> None:
        """Raises OSError and ValueError, and then nothing has changed."""
        entrance = doors(new)
        await self._gateway.take(new, entrance.policy)
        if new.log != self.settings.log:
            configure_log(new)
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
