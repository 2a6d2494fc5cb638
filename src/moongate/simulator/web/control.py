"""Routes by which another process sets the simulated web site up and asks what it saw. They need no credential."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from moongate.simulator.values import JsonObject, as_object, dumps, loads
from moongate.simulator.web.script import read
from moongate.simulator.web.service import WebSite
from moongate.simulator.web.users import User

Told = JsonObject | list[JsonObject]
Handler = Callable[[web.Request], Awaitable[web.Response]]
_Take = Callable[[web.Request, object], Told]


def routes(site: WebSite) -> list[web.RouteDef]:
    """JSON goes in and comes out; what cannot be taken is a 400 that says why, and nothing of it is taken.

    - `POST /_simulator/web/scripts?user=…`: one script or a list of them, for the next turns of this user, or of any.
      `DELETE` drops all that wait or stand.
    - `GET` and `POST /_simulator/web/knobs`: the fields of `WebKnobs`.
    - `POST /_simulator/web/users?name=…`: makes or finds a user, and sets the fields of `UserTerms` that are given;
      `"end_login": true`, `"revoke_access": true` and `"log_in": true` do so. The answer has good tokens.
    - `GET /_simulator/web/log`: the turns, oldest first. `GET /_simulator/web/chats`: the chats, deleted ones too.
    - `GET /_simulator/web/files`: the files, with the digests of their bytes.
    """

    def enqueue(request: web.Request, given: object) -> Told:
        scripts = [read(item) for item in (given if isinstance(given, list) else [given])]
        for script in scripts:
            site.enqueue(script, request.query.get("user"))
        return {"queued": len(site.queue)}

    def clear(_: web.Request, given: object) -> Told:
        removed = len(site.queue)
        site.queue.clear()
        return {"removed": removed}

    def user(request: web.Request, given: object) -> Told:
        name = request.query.get("name")
        if not name:
            raise ValueError("name is missing from the query")
        found = site.user(name)
        _change(found, given)
        return found.as_json()

    return [
        web.post("/_simulator/web/scripts", _taking(enqueue)),
        web.delete("/_simulator/web/scripts", _taking(clear)),
        web.get("/_simulator/web/knobs", _taking(lambda _, __: site.shown_knobs())),
        web.post("/_simulator/web/knobs", _taking(lambda _, given: site.change_knobs(given))),
        web.post("/_simulator/web/users", _taking(user)),
        web.get("/_simulator/web/log", _taking(lambda _, __: [turn.as_json() for turn in site.log])),
        web.get("/_simulator/web/chats", _taking(lambda _, __: [c.as_json() for c in site.chats.all.values()])),
        web.get("/_simulator/web/files", _taking(lambda _, __: [f.as_json() for f in site.files.all.values()])),
    ]


_ACTS: Final[dict[str, Callable[[User], None]]] = {
    "log_in": User.log_in,
    "end_login": User.end_login,
    "revoke_access": User.revoke_access,
}


def _change(user: User, given: object) -> None:
    members = as_object(given)
    acts = {name: value for name, value in members.items() if name in _ACTS}
    if wrong := [name for name, value in acts.items() if value is not True]:
        raise ValueError(f"{wrong[0]}: Expected true")
    user.change({name: value for name, value in members.items() if name not in _ACTS} if acts else given)
    for name in acts:
        _ACTS[name](user)


def _taking(take: _Take) -> Handler:
    """`take` gets the JSON of the body, an empty object where there is none."""

    async def handle(request: web.Request) -> web.Response:
        try:
            body = await request.read()
            return _json(take(request, loads(body) if body else {}))
        except ValueError as error:
            return _json({"error": {"message": str(error), "type": "invalid_request_error"}}, 400)

    return handle


def _json(value: Told, status: int = 200) -> web.Response:
    return web.Response(body=dumps(value), status=status, content_type="application/json", charset="utf-8")
