"""A site changes its mind, a caller brings what is not theirs, a schema is odd: told truly, and mended by itself."""

import base64
import json
from pathlib import Path

import pytest

from harness import Serve
from moongate.core.errors import GatewayError, Kind
from moongate.core.sealed import Sealed
from moongate.simulator import Simulator
from moongate.simulator.web import WebScript
from moongate.upstreams.kimi_web.headers import Caller
from moongate.upstreams.kimi_web.models import chosen, read_menu, wish
from moongate.upstreams.kimi_web.site import ABSENCES, GOOD_FOR, Found, Site
from moongate.wire.http import HttpHead, HttpReply

CALLER = Caller("https://www.example.com", "moongate/test", Sealed("eyJ.example.token"))
PAGE = HttpReply(HttpHead(200, {"content-type": "text/html"}), b"<html><title>Back soon</title></html>")
MENU = HttpReply(HttpHead(200, {"content-type": "application/json"}), b'{"availableModels":[]}')


def environ(sim: Simulator, **more: str) -> dict[str, str]:
    token = sim.web.user("ada").refresh_token
    return {"KIMI_TOKENS": token, "KIMI_WEB_BASE_URL": sim.url, "KIMI_WEB_AUTH_URL": sim.url, **more}


def looked(site: Site, reply: HttpReply) -> Found:
    flow = site.look(CALLER)
    try:
        next(flow)
        flow.send(reply)
    except StopIteration as stop:
        found: Found = stop.value
        return found
    raise AssertionError("it asked once more")


def test_one_page_in_front_does_not_unsay_what_a_site_speaks_and_several_in_a_row_do() -> None:
    now = 0.0
    site = Site(clock=lambda: now)
    assert looked(site, MENU).generation == "connect"
    for time in range(1, ABSENCES + 1):
        now = time * (GOOD_FOR + 1)
        found = looked(site, PAGE)
        assert found.generation == ("rest" if time == ABSENCES else "connect")
    now += GOOD_FOR + 1
    assert looked(site, MENU).generation == "connect"


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{}], "$ref": "#/allOf/abc"},
        {"minLength": 3, "$ref": "#/minLength/x"},
        {"title": "abc", "$ref": "#/title"},
    ],
)
async def test_a_schema_that_leads_nowhere_is_the_callers_to_mend(
    sim: Simulator, serve: Serve, schema: dict[str, object]
) -> None:
    async with serve(environ(sim)) as gateway:
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        async with gateway.ask(model="k2", response_format=form) as reply:
            assert (reply.status, (await reply.json())["error"]["param"]) == (400, "response_format")
        assert not [entry for entry in gateway.log if entry["event"] == "bug"]


async def test_a_number_too_large_for_a_schema_is_a_fault_of_the_answer(sim: Simulator, serve: Serve) -> None:
    async with serve(environ(sim, MAX_RETRIES="0")) as gateway:
        schema = {"type": "object", "properties": {"n": {"multipleOf": 0.1}}}
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        sim.web.enqueue(WebScript(text='{"n": %s}' % ("9" * 401)))
        async with gateway.ask(model="k2", response_format=form) as reply:
            assert (reply.status, (await reply.json())["error"]["code"]) == (502, "upstream_failed")


async def test_footnotes_of_the_models_own_are_left_where_nothing_is_searched(sim: Simulator, serve: Serve) -> None:
    text = "use `[^1^]` and `x[^2^]y` to match"
    async with serve(environ(sim)) as gateway:
        sim.web.enqueue(WebScript(text=text))
        async with gateway.ask(model="k2-nosearch") as reply:
            assert (await reply.json())["choices"][0]["message"]["content"] == text


async def test_links_are_marked_for_the_older_site_and_not_in_code_or_in_what_is_folded(
    sim: Simulator, serve: Serve
) -> None:
    sim.web.knobs.generations = "rest"
    fence = "```\ncurl https://example.org/x -o y\n```"
    async with serve(environ(sim)) as gateway:
        async with gateway.ask(f"Read https://example.org/a now. `see https://example.org/b it`\n{fence}", model="k2"):
            pass
        prompt = sim.web.log[-1].prompt
        assert prompt.count("<url ") == 1
        assert fence in prompt
        tool = {"name": "look", "description": "Reads https://example.org/c there", "parameters": {"type": "object"}}
        async with gateway.ask("hi", model="k2", tools=[{"type": "function", "function": tool}]):
            pass
        assert "<url " not in sim.web.log[-1].prompt


async def test_renewal_goes_to_the_older_place_where_the_newer_cannot_be_reached(sim: Simulator, serve: Serve) -> None:
    given = environ(sim, KIMI_WEB_AUTH_URL="http://127.0.0.1:9")
    async with serve(given) as gateway, gateway.ask(model="k2") as reply:
        assert reply.status == 200


def jwt(**claims: object) -> str:
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims))
    return f"eyJ{head[3:]}.{body}.c2lnbmF0dXJl"


async def test_a_token_of_somebody_elses_is_not_sent_there(sim: Simulator, serve: Serve) -> None:
    async with serve({**environ(sim), "DEFAULT_AUTHKEYS": "sk-example-key"}) as gateway:
        stranger = jwt(iss="https://login.corp.example", typ="access", sub="u")
        seen = len(sim.seen)
        async with gateway.ask(model="k2", headers={"authorization": f"Bearer {stranger}"}) as reply:
            assert reply.status == 401
        assert len(sim.seen) == seen


async def test_made_up_tokens_leave_next_to_nothing_behind(sim: Simulator, serve: Serve, tmp_path: Path) -> None:
    async with serve({**environ(sim), "DEFAULT_AUTHKEYS": "sk-example-key"}) as gateway:
        for number in range(300):
            forged = jwt(app_id="kimi", typ="refresh", sub=f"u{number}", exp=4e9)
            async with gateway.ask(model="k2", headers={"authorization": f"Bearer {forged}"}) as reply:
                assert reply.status == 401
        files = list((tmp_path / ".moongate" / "tokens").iterdir())
        assert len(files) <= 256
        assert len([path for path in files if path.suffix == ".json"]) == 1  # of the account that is real


def test_a_model_called_by_what_would_be_an_ending_can_be_asked_for() -> None:
    entry = {"scenario": "SCENARIO_CHAT", "id": "k3-deep-search", "key": "k3"}
    menu = read_menu(json.dumps({"availableModels": [entry]}).encode())
    assert chosen(menu, wish("k3-deep-search")).model_id == "k3-deep-search"
    with pytest.raises(GatewayError) as caught:
        chosen(menu, wish("k4-search"))
    assert caught.value.kind is Kind.MODEL_NOT_SERVED
