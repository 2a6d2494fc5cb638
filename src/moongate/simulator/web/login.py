"""The login of the web site: both refresh endpoints, guests, and whether a token lets its bearer in. No HTTP."""

from typing import Final

from moongate.simulator.values import JsonObject, as_object, as_text
from moongate.simulator.web.asked import text_of
from moongate.simulator.web.refusals import ROWS, WebRefusal, because
from moongate.simulator.web.reply import Reply, connect_refused, rest_refused, told
from moongate.simulator.web.service import WebSite
from moongate.simulator.web.users import User

CURRENT: Final = "/api/account.gateway.v1.AuthService/RefreshToken"
LEGACY: Final = "/api/auth/token/refresh"
REGISTER: Final = "/api/device/register"

_NAMES: Final = {"camel": ("accessToken", "refreshToken"), "snake": ("access_token", "refresh_token")}


def admitted(site: WebSite, token: str) -> User | WebRefusal:
    user = site.users.holding(token, "access")
    if user is None or not user.lets_in(token):
        return ROWS["unauthenticated"]
    return ROWS["permission_denied"] if user.is_barred else user


def renew_currently(site: WebSite, asked: object) -> Reply:
    """The body has the refresh token; names of members as the settings say."""
    if site.knobs.fail_refreshes:
        return connect_refused(ROWS["internal"], status=site.knobs.fail_refreshes.pop(0))
    tokens = _renewed(site, text_of(as_object(asked), "refresh_token"))
    if tokens is None:
        return connect_refused(because("unauthenticated", "invalid claims"))
    names = _NAMES["snake" if site.knobs.current_refresh == "snake" else "camel"]
    return _granted(site, names, tokens)


def renew_formerly(site: WebSite, token: str) -> Reply:
    """The refresh token comes as the bearer's."""
    if site.knobs.fail_refreshes:
        return rest_refused(ROWS["internal"], status=site.knobs.fail_refreshes.pop(0))
    tokens = _renewed(site, token)
    if tokens is None:
        return rest_refused(because("unauthenticated", "invalid claims"))
    return _granted(site, _NAMES["snake"], tokens)


def register(site: WebSite, device: str | None) -> Reply:
    """A guest for a device; the same one when it comes again."""
    if not device:
        missing = WebRefusal(error_type="request.invalid", message="x-msh-device-id is required", status=422)
        return rest_refused(missing)
    token = site.user(f"guest-{device}").access_token
    cookie = f"kimi-auth={token}; Path=/; HttpOnly"
    return told({"access_token": token}, headers={"Set-Cookie": cookie})


def hidden(body: object) -> JsonObject:
    """What the witness may keep of a renewal: of the token its last four characters."""
    return {name: f"…{as_text(value)[-4:]}" for name, value in as_object(body).items()}


def _renewed(site: WebSite, token: str) -> tuple[str, str] | None:
    user = site.users.holding(token, "refresh")
    return None if user is None or user.is_barred else user.renew(token)


def _granted(site: WebSite, names: tuple[str, str], tokens: tuple[str, str]) -> Reply:
    lost = site.knobs.lose_refreshes > 0
    site.knobs.lose_refreshes -= lost
    reply = told(dict(zip(names, tokens, strict=True)))
    return Reply(body=reply.body, lost=lost)
