"""Moongate's commands as processes of their own, as a person starts them: nothing set but what a test sets."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_WITHIN = 20.0
STOPPED_WITHIN = 15.0

_ANNOUNCED = re.compile(r"listens on (http://\S+)")


@dataclass(frozen=True)
class Command:
    """A `moongate` command that runs. `output` is all it says, to its operator and in its log."""

    name: str
    url: str
    output: Path
    process: subprocess.Popen[bytes]

    def said(self, start: int = 0) -> str:
        return self.output.read_bytes()[start:].decode("utf-8", "replace")


@contextmanager
def moongate(name: str, *arguments: str, directory: Path, environ: Mapping[str, str]) -> Iterator[Command]:
    """`moongate …` until the block ends, in an empty directory and with nothing but `environ` set."""
    output = directory / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "moongate", *arguments],
            cwd=directory,
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory), **environ},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Command(name, _announced(process, output), output, process)
    finally:
        _stop(process)


def _announced(process: subprocess.Popen[bytes], output: Path) -> str:
    """The URL on the first screen, which is shown once the port is served."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        if found := _ANNOUNCED.search(output.read_text("utf-8", "replace")):
            return found[1]
        time.sleep(0.02)
    end = "did not get ready" if process.poll() is None else f"ended with {process.returncode}"
    raise AssertionError(f"moongate {end}:\n{output.read_text('utf-8', 'replace')}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Raises TimeoutExpired where it had to be killed."""
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
