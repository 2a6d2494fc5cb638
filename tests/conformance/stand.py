"""What the SDKs stand on: Moongate's commands as processes of their own, and what the simulator saw of them."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_WITHIN = 20.0
STOPPED_WITHIN = 15.0

_ANNOUNCED = re.compile(r"listens on (http://\S+)")
# Whatever proxy the machine is set to use, loopback is not behind it.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def scripted(question: str = "Hello", /, **script: object) -> str:
    """A user's message that tells the simulator how to answer it."""
    return f"{question}\nsimulate: {json.dumps(script)}"


@dataclass(frozen=True)
class Command:
    """A `moongate` command that runs. `output` is all it says, to its operator and in its log."""

    name: str
    url: str
    output: Path
    process: subprocess.Popen[bytes]

    def said(self, start: int = 0) -> str:
        return self.output.read_bytes()[start:].decode("utf-8", "replace")


@dataclass(frozen=True)
class Gateway:
    """A gateway as its callers know it."""

    command: Command
    key: str

    @property
    def url(self) -> str:
        return self.command.url

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"


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
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def get(url: str) -> object:
    with _open(url, timeout=10) as reply:
        return json.load(reply)


class Witness:
    """What reached the simulator, and how it will answer next."""

    def __init__(self, url: str) -> None:
        self.url = url

    def records(self) -> list[dict[str, object]]:
        """Of the chat requests, the latest last."""
        seen = get(f"{self.url}/_simulator/seen")
        assert isinstance(seen, list)
        return [record for record in seen if record["method"] == "POST"]

    def asked(self) -> dict[str, object]:
        """The body of the latest request, as it came."""
        body = self.records()[-1]["json"]
        assert isinstance(body, dict)
        return body

    def answer_next(self, *scripts: Mapping[str, object]) -> None:
        """The next requests, whatever they ask, one by each script."""
        body = json.dumps(scripts).encode()
        with _open(urllib.request.Request(f"{self.url}/_simulator/scripts", data=body), timeout=10):
            pass

    def forget_queue(self) -> None:
        with _open(urllib.request.Request(f"{self.url}/_simulator/scripts", method="DELETE"), timeout=10):
            pass

    def ended(self, seconds: float = 5.0) -> str:
        """How the latest request ended, which may be a moment after its caller left."""
        deadline = time.monotonic() + seconds
        while (ended := self.records()[-1]["ended"]) is None:
            assert time.monotonic() < deadline, "the upstream request is still open"
            time.sleep(0.02)
        return str(ended)
