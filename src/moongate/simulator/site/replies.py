"""What the site answers, as bytes. Its own words are not on record (2026-11); those here are invented and say so."""

from collections.abc import Mapping
from typing import Final

import msgspec

from moongate.simulator.site.knobs import Failure
from moongate.simulator.values import dumps

_HTML: Final = "text/html; charset=UTF-8"
_JSON: Final = "application/json; charset=UTF-8"


class Reply(msgspec.Struct, frozen=True):
    """`is_cut`: the connection ends in the middle of the body."""

    status: int
    body: bytes
    kind: str = _JSON
    headers: Mapping[str, str] = {}
    is_cut: bool = False


def page(url: str, nonce: str) -> Reply:
    """Other scripts of the page have nonces too, which are good for nothing here."""
    variable = dumps({"ajax_url": f"{url}/wp-admin/admin-ajax.php", "nonce": nonce}).replace(b"/", b"\\/").decode()
    return _html(
        200,
        f"""<!DOCTYPE html>
<html lang="en-US"><head><meta charset="UTF-8"><title>Chat (simulated)</title>
<script id="menu-js-extra">
/* <![CDATA[ */
var menu_settings = {{"home":"{url}","nonce":"ffffffffff"}};
/* ]]> */
</script>
</head><body><div id="chat"><textarea></textarea></div>
<script id="kimi-chat-js-extra">
/* <![CDATA[ */
var kimi_ajax = {variable};
/* ]]> */
</script></body></html>
""",
    )


def challenge(status: int) -> Reply:
    """The newer kind says what it is in a header; the older, under 503, does not."""
    text = """<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title>
<meta name="robots" content="noindex,nofollow"></head><body>
<noscript>Enable JavaScript and cookies to continue</noscript>
<script>window._cf_chl_opt={cType:'managed'};</script></body></html>"""
    reply = _html(status, text)
    headers = {"Server": "cloudflare", **({"cf-mitigated": "challenge"} if status == 403 else {})}
    return msgspec.structs.replace(reply, headers=headers)


def answer(text: str) -> Reply:
    return Reply(200, dumps({"success": True, "data": {"message": text}}))


def refusal(words: str) -> Reply:
    return Reply(200, dumps({"success": False, "data": words}))


def simulated(message: str) -> str:
    """What is answered where nothing else was planned."""
    return f"This answer is simulated, no model wrote it. The message had {len(message)} characters."


def _html(status: int, text: str) -> Reply:
    return Reply(status, text.encode(), _HTML)


NO_ACTION: Final = Reply(400, b"0", _HTML)
NO_NONCE: Final = Reply(403, b"-1", _HTML)

FAILURES: Final[Mapping[Failure, Reply]] = {
    "success_false": refusal("Simulated: something went wrong, please try again."),
    "forbidden_minus_one": NO_NONCE,
    "bad_request_zero": NO_ACTION,
    "server_error": _html(500, "<!DOCTYPE html><html><head><title>WordPress &rsaquo; Error</title></head></html>"),
    "not_json": Reply(200, b"PHP Warning: simulated", _HTML),
    "html": _html(200, "<!DOCTYPE html><html><head><title>Simulated page</title></head><body></body></html>"),
    "cut": msgspec.structs.replace(answer("This answer is simulated, and breaks off before its end."), is_cut=True),
}
