"""What the SDKs stand on: a gateway as its callers know it, and what the simulator saw of them."""

import json
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from processes import Command

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
