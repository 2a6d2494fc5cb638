"""The simulated site of a third party: a nonce in a page, a form answered whole, and how it fails."""

import json

import aiohttp
import pytest

from moongate.simulator import Simulator
from moongate.simulator.site import Form

FORM = "/wp-admin/admin-ajax.php"
ASKED = {
    "action": "kimi_send_message",
    "message": "Hi",
    "model": "moonshotai/Kimi-K2-Instruct-0905",
    "session_id": "session_1764000000000_abc123xyz",
}


@pytest.fixture
def post(sim: Simulator, session: aiohttp.ClientSession):
    """Send the form with the nonce of the moment, members changed; the status and the body come back."""

    async def post_(**members: str) -> tuple[int, bytes]:
        form = {"nonce": sim.site.nonce, **ASKED, **members}
        async with session.post(sim.url + FORM, data=form) as response:
            return response.status, await response.read()

    return post_


@pytest.fixture
def control(sim: Simulator, session: aiohttp.ClientSession):
    async def control_(method: str, what: str, given: object = None):
        data = None if given is None else json.dumps(given)
        async with session.request(method, f"{sim.url}/_simulator/site/{what}", data=data) as response:
            return response.status, await response.json()

    return control_


async def test_the_page_holds_the_nonce_among_other_markup(sim: Simulator, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{sim.url}/chat/") as response:
        page = await response.text()
    assert response.content_type == "text/html"
    variable = page.split("var kimi_ajax = ")[1].split(";\n")[0]
    assert json.loads(variable) == {"ajax_url": sim.url + FORM, "nonce": sim.site.nonce}
    assert "\\/wp-admin\\/admin-ajax.php" in variable
    assert page.count('"nonce":') == 2
    assert sim.site.pages == 1


async def test_an_answer_owns_up_to_being_simulated_and_tells_how_long_the_message_was(sim: Simulator, post) -> None:
    status, body = await post(message="héllo 你好 & more")
    assert status == 200
    assert json.loads(body) == {
        "success": True,
        "data": {"message": "This answer is simulated, no model wrote it. The message had 15 characters."},
    }
    assert sim.site.seen == [
        Form("héllo 你好 & more", ASKED["model"], ASKED["session_id"], sim.site.nonce, accepted=True)
    ]


async def test_answers_that_wait_are_told_in_their_order(sim: Simulator, post) -> None:
    sim.site.enqueue("one")
    sim.site.enqueue("two")
    assert [json.loads((await post())[1])["data"]["message"] for _ in range(2)] == ["one", "two"]


@pytest.mark.parametrize(
    ("members", "status", "body"),
    [
        ({"nonce": "stale"}, 403, b"-1"),
        ({"action": "other"}, 400, b"0"),
        ({"action": ""}, 400, b"0"),
    ],
)
async def test_a_wrong_nonce_and_a_wrong_action_are_numbers(post, members, status: int, body: bytes) -> None:
    assert await post(**members) == (status, body)


async def test_what_is_no_form_and_no_post_is_no_action(sim: Simulator, session: aiohttp.ClientSession) -> None:
    async with session.post(sim.url + FORM, json=ASKED) as response:
        assert (response.status, await response.read()) == (400, b"0")
    async with session.get(sim.url + FORM) as response:
        assert (response.status, await response.read()) == (400, b"0")


@pytest.mark.parametrize("members", [{"message": ""}, {"message": "x" * 1001}, {"model": "kimi-k2-instruct"}])
async def test_what_the_site_does_not_take_is_no_success(sim: Simulator, post, members) -> None:
    status, body = await post(**members)
    said = json.loads(body)
    assert (status, said["success"]) == (200, False)
    assert "Simulated" in said["data"]
    assert [form.accepted for form in sim.site.seen] == [False]


async def test_the_limit_counts_characters_and_can_be_moved(sim: Simulator, post) -> None:
    assert json.loads((await post(message="中" * 1000))[1])["success"] is True
    sim.site.length_limit = None
    assert json.loads((await post(message="中" * 5000))[1])["success"] is True


async def test_only_the_last_nonce_is_taken(sim: Simulator, post) -> None:
    old = sim.site.nonce
    assert sim.site.rotate() != old
    assert (await post(nonce=old))[0] == 403
    assert (await post())[0] == 200


@pytest.mark.parametrize(
    ("failure", "status", "part"),
    [
        ("success_false", 200, b'{"success":false,'),
        ("forbidden_minus_one", 403, b"-1"),
        ("bad_request_zero", 400, b"0"),
        ("server_error", 500, b"WordPress"),
        ("not_json", 200, b"PHP Warning"),
        ("html", 200, b"<!DOCTYPE html>"),
    ],
)
async def test_the_next_forms_fail_as_was_planned(sim: Simulator, post, failure, status: int, part: bytes) -> None:
    sim.site.fail = [failure, failure]
    for _ in range(2):
        got, body = await post()
        assert got == status
        assert part in body
    assert (await post())[0] == 200
    assert [form.accepted for form in sim.site.seen] == [False, False, True]


async def test_an_answer_can_break_off(sim: Simulator, post) -> None:
    sim.site.fail = ["cut"]
    with pytest.raises(aiohttp.ClientPayloadError):
        await post()


@pytest.mark.parametrize(("status", "mark"), [(403, "challenge"), (503, None)])
async def test_a_challenge_stands_in_front_of_the_page_and_of_the_form(
    sim: Simulator, session: aiohttp.ClientSession, post, status, mark
) -> None:
    sim.site.challenge, sim.site.challenge_status = "always", status
    async with session.get(f"{sim.url}/chat/") as response:
        assert (response.status, response.headers.get("cf-mitigated")) == (status, mark)
        assert "Just a moment..." in await response.text()
    got, body = await post()
    assert got == status
    assert b"Just a moment..." in body
    assert sim.site.seen == []


async def test_a_challenge_may_come_once(sim: Simulator, post) -> None:
    sim.site.challenge = "once"
    assert [(await post())[0] for _ in range(2)] == [403, 200]


async def test_the_answer_can_be_slow(sim: Simulator, session: aiohttp.ClientSession, post) -> None:
    sim.site.delay = 60.0
    timeout = aiohttp.ClientTimeout(total=0.1)
    with pytest.raises(TimeoutError):
        async with session.post(sim.url + FORM, data=ASKED, timeout=timeout):
            pass


async def test_another_process_sets_it_up_and_asks_what_it_saw(sim: Simulator, post, control) -> None:
    assert (await control("POST", "knobs", {"challenge": "once", "length_limit": 5}))[0] == 200
    assert (await control("POST", "answers", ["planned"]))[1]["queued"] == 1
    nonce = (await control("POST", "rotate"))[1]["nonce"]
    assert (await post())[0] == 403
    assert json.loads((await post())[1])["data"]["message"] == "planned"
    _, knobs = await control("GET", "knobs")
    assert (knobs["challenge"], knobs["length_limit"], knobs["nonce"]) == ("none", 5, nonce)
    assert (await control("GET", "seen"))[1] == [
        {
            "message": "Hi",
            "model": ASKED["model"],
            "session_id": ASKED["session_id"],
            "nonce": nonce,
            "accepted": True,
        }
    ]


@pytest.mark.parametrize(
    ("what", "given"),
    [
        ("knobs", {"challenge": "sometimes"}),
        ("knobs", {"seen": []}),
        ("knobs", {"fail": ["nonsense"]}),
        ("knobs", []),
        ("answers", "text"),
        ("answers", ["text", 1]),
    ],
)
async def test_what_cannot_be_set_is_refused_and_nothing_of_it_taken(sim: Simulator, control, what, given) -> None:
    before = sim.site.as_json()
    status, told = await control("POST", what, given)
    assert status == 400
    assert told["error"]["message"]
    assert sim.site.as_json() == before


async def test_a_reset_forgets_everything(sim: Simulator, post) -> None:
    first = sim.site.nonce
    await post()
    sim.site.rotate()
    sim.site.challenge, sim.site.fail = "always", ["html"]
    sim.site.enqueue("waiting")
    sim.reset()
    assert (sim.site.nonce, sim.site.challenge, sim.site.fail, sim.site.seen) == (first, "none", [], [])
    assert b"simulated" in (await post())[1]
