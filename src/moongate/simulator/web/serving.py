"""The web site over HTTP: which paths are its own, and how each request is answered."""

import asyncio
import re
from collections.abc import Iterator
from typing import Final

from aiohttp import HttpVersion11, web

from moongate.simulator.values import JsonObject, as_object, loads
from moongate.simulator.web import calls, connect, legacy, login, rest
from moongate.simulator.web.asked import Asked, read_connect, read_rest
from moongate.simulator.web.chats import Generation
from moongate.simulator.web.files import read_multipart
from moongate.simulator.web.frames import trailer
from moongate.simulator.web.refusals import ROWS, WebRefusal, because, connect_error
from moongate.simulator.web.reply import Reply, connect_refused, rest_refused, told
from moongate.simulator.web.service import WebSite
from moongate.simulator.web.steps import Step, course
from moongate.simulator.web.turns import Begun, begin
from moongate.simulator.web.users import User
from moongate.simulator.web.writing import Line, write
from moongate.simulator.witness import Seen

_FRAMED: Final = "application/connect+json"
_EVENTS: Final = "text/event-stream; charset=utf-8"
_COMPLETION: Final = re.compile(r"/api/chat/([0-9a-z]{20})/completion/stream")
_ONE_CHAT: Final = re.compile(r"/api/chat/([0-9a-z]{20})")
_PLACE: Final = "/api/pre-sign-url"
_HEAD: Final = 5


def serves(site: WebSite, method: str, path: str) -> bool:
    """Whether the path is one of the site's, as its settings are now."""
    knobs = site.knobs
    if path == login.CURRENT:
        return method == "POST" and knobs.current_refresh != "away"
    if path == login.LEGACY:
        return method == "GET" and knobs.legacy_refresh != "away"
    if path.startswith("/apiv2"):
        return method == "POST" and knobs.generations != "rest" and _is_current(calls.canonical(path))
    return knobs.generations != "connect" and _is_former(method, path)


def _is_current(path: str) -> bool:
    return path in calls.CALLS or path in (calls.CHAT, calls.MODELS, calls.UPLOAD)


def _is_former(method: str, path: str) -> bool:
    if (method, path) in legacy.CALLS or (method, path) in (("POST", _PLACE), ("POST", login.REGISTER)):
        return True
    match method:
        case "PUT":
            return path.startswith(legacy.UPLOADS)
        case "DELETE":
            return _ONE_CHAT.fullmatch(path) is not None
        case _:
            return method == "POST" and _COMPLETION.fullmatch(path) is not None


async def serve(site: WebSite, request: web.Request, body: bytes, seen: Seen) -> web.StreamResponse:
    """Raises ConnectionError or CancelledError when the client goes before the answer is out."""
    answer = _answer(site, request, body, seen)
    if isinstance(answer, Begun):
        return await _told(site, answer, request, seen)
    seen.status = answer.status
    if answer.lost:
        seen.end("cut")
        if request.transport is not None:
            request.transport.abort()
    seen.end("answered" if answer.status == 200 and answer.media_type != _FRAMED else "refused")
    headers = {**answer.headers, "Content-Type": answer.media_type}
    return web.Response(body=answer.body, status=answer.status, headers=headers)


def _answer(site: WebSite, request: web.Request, body: bytes, seen: Seen) -> Reply | Begun:
    path, token = calls.canonical(request.path), _bearer(request)
    if path == login.CURRENT:
        asked = _json(body)
        seen.json, seen.body = login.hidden(asked), b""
        return login.renew_currently(site, asked)
    if path == login.LEGACY:
        return login.renew_formerly(site, token)
    if path == login.REGISTER:
        return login.register(site, request.headers.get("x-msh-device-id"))
    if path == calls.MODELS:
        return told(calls.available_models(site))
    if path.startswith(legacy.UPLOADS):
        return _put(site, request, body)
    user = login.admitted(site, token)
    if path.startswith("/apiv2"):
        return _current(site, request, path, user, body)
    return _former(site, request, path, user, body)


def _current(site: WebSite, request: web.Request, path: str, user: User | WebRefusal, body: bytes) -> Reply | Begun:
    if isinstance(user, WebRefusal):
        return connect_refused(user, bare_debug=site.knobs.bare_debug)
    if path == calls.CHAT:
        return _chat(site, request, user, body)
    if path == calls.UPLOAD:
        return _upload(site, request, user, body)
    result = calls.CALLS[path](site, user, as_object(_json(body)))
    return connect_refused(result, bare_debug=site.knobs.bare_debug) if isinstance(result, WebRefusal) else told(result)


def _former(site: WebSite, request: web.Request, path: str, user: User | WebRefusal, body: bytes) -> Reply | Begun:
    if isinstance(user, WebRefusal):
        return rest_refused(user)
    if (found := _COMPLETION.fullmatch(path)) is not None:
        asked = read_rest(_json(body), found[1])
        begun = asked if isinstance(asked, WebRefusal) else begin(site, user, "rest", asked)
        return rest_refused(begun) if isinstance(begun, WebRefusal) else _begun(begun)
    result = _plain(site, request, path, user, as_object(_json(body)))
    return rest_refused(result) if isinstance(result, WebRefusal) else told(result)


def _plain(site: WebSite, request: web.Request, path: str, user: User, asked: JsonObject) -> JsonObject | WebRefusal:
    if path == _PLACE:
        return legacy.place(site, user, asked, str(request.url.origin()))
    if request.method == "DELETE":
        return legacy.delete(site, user, path.rpartition("/")[2])
    return legacy.CALLS[request.method, path](site, user, asked)


def _chat(site: WebSite, request: web.Request, user: User, body: bytes) -> Reply | Begun:
    asked = _unframed(site, body)
    if not isinstance(asked, WebRefusal) and request.content_type != _FRAMED:
        return Reply(body=b"", status=415, headers={"Accept-Post": _FRAMED})
    begun = asked if isinstance(asked, WebRefusal) else begin(site, user, "connect", asked)
    if isinstance(begun, WebRefusal):
        return Reply(body=trailer(connect_error(begun, bare_debug=site.knobs.bare_debug)), media_type=_FRAMED)
    return _begun(begun)


def _unframed(site: WebSite, body: bytes) -> Asked | WebRefusal:
    """The request is itself one envelope."""
    payload = body[_HEAD:]
    if len(body) < _HEAD or body[0] != 0 or int.from_bytes(body[1:_HEAD]) != len(payload):
        return because("invalid_argument", "protocol error: the body is not one envelope")
    try:
        value = loads(payload)
    except ValueError as error:
        return because("invalid_argument", f"unmarshal: {error}")
    return read_connect(value, strict_chat_id=site.knobs.strict_chat_id)


def _begun(begun: Begun) -> Reply | Begun:
    """A turn that its script refuses over HTTP is over at once."""
    refusal = begun.turn.refusal("http", "body")
    if refusal is None:
        begun.user.active += 1
        return begun
    status = 200 if begun.turn.script.refused_when() == "body" else None
    if begun.seen.generation == "rest":
        return rest_refused(refusal, status)
    return connect_refused(refusal, bare_debug=begun.turn.bare_debug, status=status)


def _upload(site: WebSite, request: web.Request, user: User, body: bytes) -> Reply:
    parts = read_multipart(request.headers.get("Content-Type", ""), body) or []
    found = next((part for part in parts if part.field == "file" and part.name), None)
    if found is None:
        return connect_refused(because("invalid_argument", "a form with a field named file is required"))
    return told(calls.uploaded(site.files.keep(user.name, found)))


def _put(site: WebSite, request: web.Request, body: bytes) -> Reply:
    """It needs no token: the address is the permission."""
    key = request.path.removeprefix(legacy.UPLOADS)
    known = site.files.fill(key, request.content_type, body)
    return Reply(body=b"", media_type="application/xml") if known else rest_refused(ROWS["not_found"])


_STEPS: Final = {"connect": (connect.steps, _FRAMED), "rest": (rest.steps, _EVENTS)}


async def _told(site: WebSite, begun: Begun, request: web.Request, seen: Seen) -> web.StreamResponse:
    """The answer is written by a task of its own, since it goes on when the client has gone."""
    generation: Generation = begun.seen.generation
    steps, media_type = _STEPS[generation]
    chunked = request.version >= HttpVersion11
    line = Line(request, chunked=chunked, split=begun.turn.script.split)
    response = web.StreamResponse(headers={"Content-Type": media_type})
    if chunked:
        response.enable_chunked_encoding()
    try:
        await _headed(begun, request, response, line, seen)
    except (asyncio.CancelledError, ConnectionError):
        begun.seen.hung_up = True
        line.over.set()
        raise
    finally:
        task = _started(site, begun, course(begun.turn.script, steps(begun.turn)), line, seen)
    try:
        await line.over.wait()
    except asyncio.CancelledError:
        begun.seen.hung_up = begun.seen.hung_up or not line.over.is_set()
        line.over.set()
        raise
    if task.done() and not task.cancelled():
        task.result()
    return response


async def _headed(begun: Begun, request: web.Request, response: web.StreamResponse, line: Line, seen: Seen) -> None:
    script = begun.turn.script
    await asyncio.sleep(script.silent_before_headers)
    if script.drop_before_headers:
        seen.end("cut")
        await line.abort()
    else:
        await response.prepare(request)
        seen.status = response.status


def _started(site: WebSite, begun: Begun, steps: Iterator[Step], line: Line, seen: Seen) -> asyncio.Task[None]:
    message, user = begun.turn.answer.id, begun.user

    def ended(_: asyncio.Task[None]) -> None:
        user.active -= 1
        site.running.pop(message, None)
        line.over.set()

    task = asyncio.create_task(write(begun, steps, line, seen))
    site.running[message] = task
    task.add_done_callback(ended)
    return task


def _json(body: bytes) -> object:
    """None for what is no JSON, which then lacks whatever is looked for in it."""
    try:
        return loads(body)
    except ValueError:
        return None


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
