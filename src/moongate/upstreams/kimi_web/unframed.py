"""A body that came under 200 in place of a stream: an error in plain JSON, or somebody's web page."""

from moongate.core.errors import GatewayError
from moongate.dialects.dialect import Explain
from moongate.upstreams.kimi_web.answers import said
from moongate.upstreams.kimi_web.refusals import SAID_OK

LIMIT = 1024 * 1024
"""Bytes that are kept of it."""

_BEGINNINGS = (b"{", b"<")
"""Neither an envelope nor an event begins so."""


class Unframed:
    """Told by its first byte."""

    def __init__(self, explain: Explain) -> None:
        self._explain = explain
        self._body = b""
        self._is_one: bool | None = None

    def takes(self, data: bytes) -> bool:
        """Whether `data` belongs to such a body."""
        if self._is_one is None and data:
            self._is_one = data.startswith(_BEGINNINGS)
        if self._is_one:
            self._body += data[: LIMIT - len(self._body)]
        return bool(self._is_one)

    def end(self) -> None:
        """Raises GatewayError if there was one."""
        if self._is_one:
            is_cut = self._body.startswith(b"{") and not said(self._body)
            raise GatewayError.truncated() if is_cut else self._explain(SAID_OK, self._body)
