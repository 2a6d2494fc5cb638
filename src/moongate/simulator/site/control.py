"""Routes by which another process sets the site up and asks what it saw."""

from collections.abc import Callable

import msgspec
from aiohttp import web

from moongate.simulator.control import Handler, Told
from moongate.simulator.site.site import Site
from moongate.simulator.values import dumps, loads


def routes(site: Site) -> list[web.RouteDef]:
    """JSON goes in and comes out; what cannot be taken is a 400 that says why, and nothing of it is taken.

    - `GET /_simulator/site/knobs`: the fields of `SiteKnobs`, and `pages` and `queued`. `POST` sets those of
      `SiteKnobs` that are given.
    - `POST /_simulator/site/rotate`: another nonce, which is told.
    - `POST /_simulator/site/answers`: a list of texts for the next messages.
    - `GET /_simulator/site/seen`: the forms that came, oldest first.
    """

    def set_knobs(given: object) -> Told:
        site.change(given)
        return site.as_json()

    def answers(given: object) -> Told:
        for text in _texts(given):
            site.enqueue(text)
        return site.as_json()

    return [
        web.get("/_simulator/site/knobs", _taking(lambda _: site.as_json())),
        web.post("/_simulator/site/knobs", _taking(set_knobs)),
        web.post("/_simulator/site/rotate", _taking(lambda _: {"nonce": site.rotate()})),
        web.post("/_simulator/site/answers", _taking(answers)),
        web.get("/_simulator/site/seen", _taking(lambda _: [msgspec.structs.asdict(form) for form in site.seen])),
    ]


def _texts(given: object) -> list[str]:
    """Raises ValueError."""
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise ValueError("Expected a list of texts")
    return given


def _taking(take: Callable[[object], Told]) -> Handler:
    """`take` gets the JSON of the body, None where there is no body."""

    async def handle(request: web.Request) -> web.Response:
        try:
            body = await request.read()
            return _json(take(loads(body) if body else None))
        except ValueError as error:
            return _json({"error": {"message": str(error), "type": "invalid_request_error"}}, 400)

    return handle


def _json(value: Told, status: int = 200) -> web.Response:
    return web.Response(body=dumps(value), status=status, content_type="application/json", charset="utf-8")
