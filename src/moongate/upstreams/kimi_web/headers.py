"""Who calls a web site, and the headers by which it is told.

A call says what it has to: the token, the form of the body, our own user agent. The numbers of device and session are
those the token itself was issued to; none is made up, and nothing pretends to be a browser (the site asks for no more,
as several independent clients found in 2026).
"""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from moongate.core.sealed import Sealed
from moongate.upstreams.kimi_web.claims import Claims, bare, claims_of
from moongate.wire.http import HttpCall

JSON = "application/json"
CONNECT_JSON = "application/connect+json"

VERSION = "2.2.0"
"""Of the web application's protocol (2026-09). Without it the site tells of models it had before (seen 2026)."""

_FIT = re.compile(r"[!-~]{1,128}")

_write = msgspec.json.Encoder().encode


def of_claims(claims: Claims | None) -> dict[str, str]:
    """Whom a token was issued to, as far as it says."""
    claims = claims or Claims()
    told = {"x-msh-device-id": claims.device, "x-msh-session-id": claims.session, "x-traffic-id": claims.subject}
    return {name: value for name, value in told.items() if _FIT.fullmatch(value)}


def of_client(user_agent: str) -> dict[str, str]:
    """Compressed events would be held back until a block is full."""
    return {
        "accept-encoding": "identity",
        "user-agent": user_agent,
        "x-msh-platform": "web",
        "x-msh-version": VERSION,
    }


class Caller(Struct, frozen=True):
    """An account at a site. `base_url` has no slash at its end."""

    base_url: str
    user_agent: str
    token: Sealed

    def headers(self, content_type: str = JSON) -> dict[str, str]:
        token = bare(self.token.reveal())
        return {
            "authorization": f"Bearer {token}",
            "content-type": content_type,
            **of_client(self.user_agent),
            **of_claims(claims_of(token)),
        }

    def connect(self, path: str, body: bytes, content_type: str = JSON) -> HttpCall:
        """A call to the newer generation (`Service/Method` under its prefix), with the body as it goes out."""
        headers = {**self.headers(content_type), "connect-protocol-version": "1"}
        return HttpCall("POST", f"{self.base_url}/{path}", headers, body)

    def rpc(self, path: str, fields: Mapping[str, object], after: float = 0.0) -> HttpCall:
        """A call of the newer generation that is answered in one piece."""
        call = self.connect(path, _write(fields))
        return HttpCall(call.method, call.url, call.headers, call.body, after)

    def rest(self, method: str, path: str, fields: Mapping[str, object] | None = None, after: float = 0.0) -> HttpCall:
        """A call of the older generation; `path` begins with a slash."""
        body = b"" if fields is None else _write(fields)
        return HttpCall(method, f"{self.base_url}{path}", self.headers(), body, after)
