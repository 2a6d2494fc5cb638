"""Routes by which another process sets the simulator up and asks what it saw. They need no credential."""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from moongate.simulator.desk import Desk
from moongate.simulator.knobs import Knobs
from moongate.simulator.script import read
from moongate.simulator.settable import change, shown
from moongate.simulator.values import JsonObject, dumps, loads
from moongate.simulator.witness import Seen

Told = JsonObject | list[JsonObject]
Handler = Callable[[web.Request], Awaitable[web.Response]]


def routes(desk: Desk, seen: Sequence[Seen]) -> list[web.RouteDef]:
    """JSON goes in and comes out; what cannot be taken is a 400 that says why, and nothing of it is taken.

    - `POST /_simulator/scripts?credential=…`: one script or a list of them, for the next requests of this credential,
      or of any. `DELETE` drops all that wait or stand.
    - `GET /_simulator/seen`: the records, oldest first.
    - `GET /_simulator/accounts?credential=…`: what is held about a key, or about the login of an access token: the
      fields of `Terms`, and `active` and `peak`. `POST` sets those of `Terms` that are given, as in
      `{"windows": {"5h": {"limit": 100, "used": 100}}}`, and answers likewise.
    - `GET /_simulator/oauth`: the fields of `LoginKnobs`, and `refreshes`. `POST` sets those of `LoginKnobs` that are
      given, such as `auto_approve_after`, `lifetime` and `interval`.
    - `POST /_simulator/oauth/approve?user_code=…` and `…/deny?user_code=…`: decide on a login; 404 if nobody waits.
    - `GET` and `POST /_simulator/knobs`: the fields of `Knobs`.
    """

    def account(request: web.Request) -> Told:
        return desk.account(_query(request, "credential")).as_json()

    def set_account(request: web.Request, given: object) -> Told:
        state = desk.account(_query(request, "credential"))
        state.change(given)
        return state.as_json()

    def set_oauth(request: web.Request, given: object) -> Told:
        desk.oauth.change(given)
        return desk.oauth.as_json()

    def set_knobs(request: web.Request, given: object) -> Told:
        change(desk.knobs, Knobs, given)
        return shown(desk.knobs, Knobs)

    def enqueue(request: web.Request, given: object) -> Told:
        scripts = [read(item) for item in (given if isinstance(given, list) else [given])]
        for script in scripts:
            desk.queue.put(script, request.query.get("credential"))
        return {"queued": len(desk.queue)}

    def clear(request: web.Request) -> Told:
        removed = len(desk.queue)
        desk.queue.clear()
        return {"removed": removed}

    return [
        web.post("/_simulator/scripts", _taking(enqueue)),
        web.delete("/_simulator/scripts", _telling(clear)),
        web.get("/_simulator/seen", _telling(lambda _: [record.as_json() for record in seen])),
        web.get("/_simulator/accounts", _telling(account)),
        web.post("/_simulator/accounts", _taking(set_account)),
        web.get("/_simulator/oauth", _telling(lambda _: desk.oauth.as_json())),
        web.post("/_simulator/oauth", _taking(set_oauth)),
        web.post("/_simulator/oauth/approve", _deciding("approved", desk.oauth.approve)),
        web.post("/_simulator/oauth/deny", _deciding("denied", desk.oauth.deny)),
        web.get("/_simulator/knobs", _telling(lambda _: shown(desk.knobs, Knobs))),
        web.post("/_simulator/knobs", _taking(set_knobs)),
    ]


def _telling(tell: Callable[[web.Request], Told]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            return _json(tell(request))
        except ValueError as error:
            return _refused(str(error), 400)

    return handle


def _taking(take: Callable[[web.Request, object], Told]) -> Handler:
    """`take` gets the JSON of the body."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return _json(take(request, loads(await request.read())))
        except ValueError as error:
            return _refused(str(error), 400)

    return handle


def _deciding(verdict: str, decide: Callable[[str], bool]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        user_code = request.query.get("user_code", "")
        if not decide(user_code):
            return _refused(f"nobody waits with the code {user_code!r}", 404)
        return _json({verdict: user_code})

    return handle


def _query(request: web.Request, name: str) -> str:
    """Raises ValueError where it is missing."""
    value = request.query.get(name)
    if not value:
        raise ValueError(f"{name} is missing from the query")
    return value


def _refused(message: str, status: int) -> web.Response:
    return _json({"error": {"message": message, "type": "invalid_request_error"}}, status)


def _json(value: Told, status: int = 200) -> web.Response:
    return web.Response(body=dumps(value), status=status, content_type="application/json", charset="utf-8")
