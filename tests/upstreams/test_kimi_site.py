"""The third-party site as an upstream: the nonce is fetched, kept and renewed, and a message sent again once."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qs

import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.core.prompt import Message, Prompt, Words
from moongate.core.route import Route
from moongate.core.sealed import Sealed
from moongate.core.turn import Turn
from moongate.simulator import Simulator
from moongate.upstreams.driver import run
from moongate.upstreams.kimi_site import MODELS, NAME, KimiSite
from moongate.upstreams.kimi_site.answers import message
from moongate.upstreams.kimi_site.page import LIFETIME
from moongate.upstreams.transport import AiohttpTransport
from moongate.upstreams.upstream import Opening, Remembers, Upstream
from moongate.wire.http import HttpCall, HttpReply
from scripted import asked

ROUTE = Route(NAME, "kimi-k2-instruct-0905")
NOBODY = Sealed("")
FAILURES = ["success_false", "forbidden_minus_one", "bad_request_zero", "server_error", "not_json", "html"]


class Noting:
    """The transport, which remembers what was asked."""

    def __init__(self, transport: AiohttpTransport) -> None:
        self.calls: list[HttpCall] = []
        self._transport = transport

    async def fetch(self, call: HttpCall) -> HttpReply:
        self.calls.append(call)
        return await self._transport.fetch(call)

    def stream(self, call: HttpCall):
        return self._transport.stream(call)

    @property
    def methods(self) -> list[str]:
        return [call.method for call in self.calls]


@pytest.fixture
async def transport() -> AsyncIterator[Noting]:
    async with AiohttpTransport() as transport:
        yield Noting(transport)


@pytest.fixture
def site(sim: Simulator) -> KimiSite:
    return KimiSite(f"{sim.url}/", "moongate/test")


def turn(text: str = "Hi", *, stream: bool = False) -> Turn:
    said = Message("user", (Words(text),))
    return Turn(asked(stream=stream), lambda: Prompt(messages=(said,)))


async def ask(site: KimiSite, transport: Noting, text: str = "Hi", route: Route = ROUTE) -> str:
    opening = await run(site.open(turn(text), route, NOBODY), transport)
    assert opening.answered is not None
    return message(opening.answered)


async def test_a_message_goes_out_as_the_sites_own_page_sends_it(sim: Simulator, site, transport) -> None:
    sim.site.enqueue("Hello!")
    assert await ask(site, transport, "Grüße & 你好\n= 1") == "Hello!"
    page, post = transport.calls
    assert (page.method, page.url) == ("GET", f"{sim.url}/chat/")
    assert (post.method, post.url) == ("POST", f"{sim.url}/wp-admin/admin-ajax.php")
    assert {call.headers["user-agent"] for call in transport.calls} == {"moongate/test"}
    form = parse_qs(post.body.decode(), strict_parsing=True)
    session = form.pop("session_id")[0]
    assert form == {
        "action": ["kimi_send_message"],
        "nonce": [sim.site.nonce],
        "message": ["Grüße & 你好\n= 1"],
        "model": ["moonshotai/Kimi-K2-Instruct-0905"],
    }
    assert re.fullmatch(r"session_\d{13}_[a-z0-9]{9}", session)
    assert sim.site.seen[0].session_id == session


async def test_each_message_is_of_a_session_of_its_own_and_the_nonce_of_all(sim: Simulator, site, transport) -> None:
    for _ in range(3):
        await ask(site, transport)
    assert transport.methods == ["GET", "POST", "POST", "POST"]
    assert len({form.session_id for form in sim.site.seen}) == 3


@pytest.mark.parametrize(
    ("model", "there"),
    [
        ("kimi-k2-instruct-0905", "moonshotai/Kimi-K2-Instruct-0905"),
        ("kimi-k2-instruct", "moonshotai/Kimi-K2-Instruct"),
        ("moonshotai/Kimi-K2-Instruct", "moonshotai/Kimi-K2-Instruct"),
    ],
)
async def test_models_have_other_names_there(sim: Simulator, site, transport, model: str, there: str) -> None:
    await ask(site, transport, route=Route(NAME, model))
    assert sim.site.seen[0].model == there


async def test_a_model_it_does_not_have_is_not_asked_for(site, transport) -> None:
    with pytest.raises(GatewayError, match="it has kimi-k2-instruct-0905, kimi-k2-instruct") as caught:
        await ask(site, transport, route=Route(NAME, "kimi-k3"))
    assert caught.value.kind is Kind.MODEL_NOT_SERVED
    assert transport.calls == []


async def test_nothing_to_say_is_not_sent(site, transport) -> None:
    for nothing in (turn(" \n"), Turn(asked(), lambda: Prompt(messages=()))):
        with pytest.raises(GatewayError, match="no text") as caught:
            await run(site.open(nothing, ROUTE, NOBODY), transport)
        assert caught.value.kind is Kind.INVALID_REQUEST
    assert transport.calls == []


@pytest.mark.parametrize("failure", FAILURES)
async def test_whatever_went_wrong_the_nonce_is_read_anew_and_the_message_sent_once_more(
    sim: Simulator, site, transport, failure
) -> None:
    await ask(site, transport)
    sim.site.fail = [failure]
    sim.site.enqueue("Hello!")
    new = sim.site.rotate()
    assert await ask(site, transport) == "Hello!"
    assert transport.methods == ["GET", "POST", "POST", "GET", "POST"]
    first, again = sim.site.seen[1:]
    assert (first.session_id, first.message) == (again.session_id, again.message)
    assert (first.nonce == again.nonce, again.nonce) == (False, new)


@pytest.mark.parametrize("failure", FAILURES)
async def test_what_goes_wrong_twice_is_an_error_and_not_tried_a_third_time(
    sim: Simulator, site, transport, failure
) -> None:
    sim.site.fail = [failure] * 3
    with pytest.raises(GatewayError) as caught:
        await ask(site, transport)
    assert caught.value.kind is (Kind.PROTOCOL if failure in ("not_json", "html") else Kind.FAILED)
    assert transport.methods == ["GET", "POST", "GET", "POST"]
    assert sim.site.nonce not in caught.value.message


async def test_a_nonce_that_failed_twice_is_not_used_again(sim: Simulator, site, transport) -> None:
    sim.site.fail = ["success_false"] * 2
    with pytest.raises(GatewayError, match=r"the site refused the message: Simulated: something went wrong"):
        await ask(site, transport)
    await ask(site, transport)
    assert transport.methods[4:] == ["GET", "POST"]


async def test_an_answer_that_breaks_off_is_cut_and_not_asked_for_again_here(sim: Simulator, site, transport) -> None:
    sim.site.fail = ["cut"]
    with pytest.raises(GatewayError) as caught:
        await ask(site, transport)
    assert caught.value.kind is Kind.TRUNCATED
    assert transport.methods == ["GET", "POST"]


@pytest.mark.parametrize("status", [403, 503])
async def test_a_bot_challenge_is_told_as_such_and_not_besieged(sim: Simulator, site, transport, status) -> None:
    await ask(site, transport)
    sim.site.challenge, sim.site.challenge_status = "always", status
    with pytest.raises(GatewayError, match=r"bot challenge.*Just a moment.*moongate\[cloudscraper\]") as caught:
        await ask(site, transport)
    assert (caught.value.kind, caught.value.upstream_status) == (Kind.CHALLENGED, status)
    assert transport.methods == ["GET", "POST", "POST", "GET"]


async def test_a_challenge_that_passes_is_not_noticed(sim: Simulator, site, transport) -> None:
    await ask(site, transport)
    sim.site.challenge = "once"
    assert "simulated" in await ask(site, transport)


async def test_a_page_of_somebody_else_is_no_page_of_the_site(sim: Simulator, transport) -> None:
    with pytest.raises(GatewayError) as caught:
        await ask(KimiSite(f"{sim.url}/elsewhere", "moongate/test"), transport)
    assert caught.value.kind is Kind.MISDIRECTED


async def test_a_nonce_grows_old(sim: Simulator, transport) -> None:
    now = [1_764_000_000.0]
    site = KimiSite(sim.url, "moongate/test", clock=lambda: now[0])
    await ask(site, transport)
    now[0] += LIFETIME - 1
    await ask(site, transport)
    now[0] += 2
    await ask(site, transport)
    assert transport.methods == ["GET", "POST", "POST", "GET", "POST"]


async def test_many_that_fail_at_once_do_not_each_read_the_page(sim: Simulator, site, transport) -> None:
    await ask(site, transport)
    stale = site.open(turn("one"), ROUTE, NOBODY)
    call = next(stale)
    sim.site.rotate()
    await ask(site, transport, "two")
    again = stale.send(await transport.fetch(call))
    assert again.method == "POST"
    assert parse_qs(again.body.decode())["nonce"] == [sim.site.nonce]
    stale.close()


async def test_many_at_once_are_all_answered(sim: Simulator, site, transport) -> None:
    told = await asyncio.gather(*(ask(site, transport, "x" * n) for n in range(1, 20)))
    assert [f"had {n} characters" in text for n, text in enumerate(told, 1)] == [True] * 19


async def test_an_answer_has_more_time_than_a_small_call(sim: Simulator, site, transport, monkeypatch) -> None:
    monkeypatch.setattr("moongate.upstreams.transport.FETCH_TIMEOUT", 0.05)
    sim.site.delay = 0.2
    assert "simulated" in await ask(site, transport)
    with pytest.raises(GatewayError, match="did not answer in time"):
        await transport.fetch(HttpCall("POST", f"{sim.url}/wp-admin/admin-ajax.php"))
    assert [call.patience for call in transport.calls[:2]] == [20.0, 180.0]


async def test_the_nonce_is_not_shown(sim: Simulator, site, transport) -> None:
    opening: Opening = await run(site.open(turn(), ROUTE, NOBODY), transport)
    assert sim.site.nonce not in f"{opening!r} {site!r} {vars(site)!r}"


async def test_it_says_what_it_is(site, transport) -> None:
    upstream: Upstream = site
    assert (upstream.name, upstream.group("kimi-k2-instruct")) == ("kimi-site", "all")
    assert await run(upstream.models(NOBODY), transport) == MODELS
    assert await run(upstream.standing(NOBODY), transport) is None
    assert [(model.id, model.upstream, model.context_length) for model in MODELS] == [
        ("kimi-k2-instruct-0905", "kimi-site", None),
        ("kimi-k2-instruct", "kimi-site", None),
    ]
    assert not isinstance(upstream, Remembers)
    assert [call.url.rpartition("/chat")[2] for call in transport.calls] == ["/"]  # the page, to see that it is there


def test_how_much_it_takes_can_be_changed() -> None:
    def length(site: KimiSite) -> int | None:
        return site.abilities("kimi-k2-instruct", "openai.chat").length

    assert length(KimiSite("https://site.example", "moongate/test")) == 1000
    assert length(KimiSite("https://site.example", "moongate/test", length=4000)) == 4000
    assert length(KimiSite("https://site.example", "moongate/test", length=None)) is None


async def test_whoever_asked_for_a_stream_gets_pieces(sim: Simulator, site, transport) -> None:
    sim.site.enqueue("one two three")
    opening = await run(site.open(turn(stream=True), ROUTE, NOBODY), transport)
    assert opening.answered is not None
    decoder = opening.decoder(opening.answered.head)
    list(decoder.feed(opening.answered.body))
    [reading] = decoder.end()
    assert json.loads(reading.raw)["data"]["message"] == "one two three"
    assert len(reading.deltas) == 3 + 4
