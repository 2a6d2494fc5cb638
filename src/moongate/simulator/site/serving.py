"""The site over HTTP, on the simulator's port."""

import asyncio

from aiohttp import web

from moongate.simulator.site.replies import NO_ACTION, Reply
from moongate.simulator.site.site import FORM, PAGE, Site
from moongate.simulator.witness import Seen


def is_of_the_site(path: str) -> bool:
    return path in (PAGE, FORM)


async def serve(site: Site, url: str, request: web.Request, body: bytes, seen: Seen) -> web.StreamResponse:
    """`url`: where the simulator is."""
    reply = await _reply(site, url, request, body)
    seen.status = reply.status
    if reply.is_cut:
        seen.end("cut")
        return await _broken_off(request, reply)
    seen.end("answered" if reply.status == 200 else "refused")
    headers = {"Content-Type": reply.kind, **reply.headers}
    return web.Response(body=reply.body, status=reply.status, headers=headers)


async def _reply(site: Site, url: str, request: web.Request, body: bytes) -> Reply:
    if (request.method, request.path) == ("GET", PAGE):
        return site.show(url)
    if (request.method, request.path) == ("POST", FORM):
        await asyncio.sleep(site.delay)
        return site.take(request.headers.get("Content-Type", ""), body)
    return NO_ACTION


async def _broken_off(request: web.Request, reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers={"Content-Type": reply.kind})
    response.content_length = len(reply.body)
    await response.prepare(request)
    await response.write(reply.body[: len(reply.body) // 2])
    if request.transport is not None:
        request.transport.close()  # after what was written is out, unlike `abort`
    return response
