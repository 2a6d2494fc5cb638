"""Kimi Code's login server: codes, tokens that end, and refresh tokens that are good for one use."""

import asyncio
import time

import aiohttp
import pytest

from moongate.simulator import Simulator, simulator
from moongate.simulator.forms import CLIENT_ID
from moongate.simulator.oauth import DEVICE_GRANT, MOST, OAuth

BEGIN, TOKEN = "/api/oauth/device_authorization", "/api/oauth/token"


@pytest.fixture
def post(sim: Simulator, session):
    """Post a form of the official client; the status and the JSON come back."""

    async def post_(path, **form):
        async with session.post(sim.url + path, data={"client_id": CLIENT_ID, **form}) as response:
            return response.status, await response.json()

    return post_


@pytest.fixture
def poll(post):
    async def poll_(begun):
        return await post(TOKEN, grant_type=DEVICE_GRANT, device_code=begun["device_code"])

    return poll_


@pytest.fixture
def refresh(post):
    async def refresh_(token):
        return await post(TOKEN, grant_type="refresh_token", refresh_token=token)

    return refresh_


@pytest.fixture
def models(sim: Simulator, session):
    """The status that an access token gets."""

    async def models_(access):
        async with session.get(f"{sim.kimi_code}/models", headers={"Authorization": f"Bearer {access}"}) as response:
            return response.status

    return models_


async def begin(post):
    status, begun = await post(BEGIN)
    assert status == 200
    return begun


async def test_a_code_is_waited_for_then_confirmed_then_spent(sim, post, poll, models):
    sim.oauth.interval = 0.0
    begun = await begin(post)
    assert (begun["expires_in"], begun["interval"]) == (1800, 0)
    assert begun["verification_uri_complete"].endswith(f"?user_code={begun['user_code']}")
    assert [await poll(begun) for _ in range(2)] == [
        (400, {"error": "authorization_pending", "error_description": "The authorization request is still pending"})
    ] * 2
    assert sim.oauth.approve(begun["user_code"])
    status, granted = await poll(begun)
    assert status == 200
    assert granted.keys() == {"access_token", "refresh_token", "expires_in", "scope", "token_type"}
    assert (granted["expires_in"], granted["token_type"]) == (900, "Bearer")
    assert await models(granted["access_token"]) == 200
    assert (await poll(begun))[1]["error"] == "invalid_grant"


async def test_whole_seconds_are_written_without_a_point(sim, session):
    async with session.post(sim.url + BEGIN, data={"client_id": CLIENT_ID}) as response:
        assert b'"expires_in":1800,"interval":5}' in await response.read()


async def test_a_code_may_be_denied(sim, post, poll):
    begun = await begin(post)
    assert sim.oauth.deny(begun["user_code"])
    assert [(await poll(begun))[1]["error"] for _ in range(2)] == ["access_denied"] * 2


async def test_nobody_can_decide_on_a_code_that_was_never_given(sim):
    assert not sim.oauth.approve("ABCD-0000")
    assert not sim.oauth.deny("")


async def test_a_code_expires(sim, post, poll):
    sim.oauth.expires_in = 0.0
    assert (await poll(await begin(post)))[1]["error"] == "expired_token"


async def test_who_polls_too_often_is_told_to_slow_down(sim, post, poll):
    begun = await begin(post)
    assert [(await poll(begun))[1]["error"] for _ in range(3)] == ["authorization_pending", "slow_down", "slow_down"]
    sim.oauth.interval = 0.0
    assert (await poll(begun))[1]["error"] == "authorization_pending"


async def test_a_wait_may_be_told_with_status_200(sim, post, poll):
    sim.oauth.pending_status = 200
    status, body = await poll(await begin(post))
    assert (status, body["error"]) == (200, "authorization_pending")


async def test_a_code_may_be_confirmed_by_itself_after_some_polls(sim, post, poll):
    sim.oauth.auto_approve_after, sim.oauth.interval = 2, 0.0
    begun = await begin(post)
    assert [(await poll(begun))[0] for _ in range(3)] == [400, 400, 200]


async def test_every_renewal_gives_a_new_pair_for_the_same_account(sim, refresh):
    access, first, _ = sim.oauth.grant()
    sim.account(access).plan = "LEVEL_ADVANCED"
    status, second = await refresh(first)
    assert status == 200
    assert second["refresh_token"] != first
    assert sim.account(second["access_token"]).plan == "LEVEL_ADVANCED"
    assert sim.account(second["access_token"]) is sim.account(access)
    assert sim.oauth.refreshes == 1


async def test_two_logins_are_two_accounts(sim):
    assert sim.account(sim.oauth.grant()[0]) is not sim.account(sim.oauth.grant()[0])


@pytest.mark.parametrize(("kills", "after"), [(True, 400), (False, 200)])
async def test_a_refresh_token_that_comes_again_is_refused_and_may_end_its_login(sim, refresh, kills, after):
    sim.oauth.reuse_kills = kills
    _, first, _ = sim.oauth.grant()
    _, other, _ = sim.oauth.grant()
    _, second = await refresh(first)
    status, body = await refresh(first)
    assert (status, body["error"]) == (400, "invalid_grant")
    assert (await refresh(second["refresh_token"]))[0] == after
    assert (await refresh(other))[0] == 200


async def test_of_two_renewals_at_a_time_one_loses(sim, refresh):
    sim.oauth.delay = 0.02
    _, token, _ = sim.oauth.grant()
    got = await asyncio.gather(refresh(token), refresh(token))
    assert sorted(status for status, _ in got) == [200, 400]
    assert sim.oauth.refreshes == 1


async def test_a_revoked_refresh_token_is_refused(sim, refresh):
    _, token, _ = sim.oauth.grant()
    sim.oauth.revoke(token)
    assert (await refresh(token))[1] == {
        "error": "invalid_grant",
        "error_description": "The provided authorization grant is invalid",
    }


async def test_failures_come_once_each_and_spend_nothing(sim, refresh):
    sim.oauth.fail_next = [503, 429]
    _, token, _ = sim.oauth.grant()
    assert [(await refresh(token))[0] for _ in range(3)] == [503, 429, 200]


async def test_an_answer_that_is_lost_has_spent_the_refresh_token_all_the_same(sim, refresh):
    sim.oauth.lose_next = 1
    _, token, _ = sim.oauth.grant()
    with pytest.raises(aiohttp.ClientConnectionError):
        await refresh(token)
    assert (sim.seen[-1].ended, sim.seen[-1].status) == ("cut", None)
    assert (await refresh(token))[1]["error"] == "invalid_grant"


async def test_a_token_ends_with_its_lifetime(sim, models):
    lasting, _, seconds = sim.oauth.grant()
    ended, _, _ = sim.oauth.grant(-1.0)
    assert seconds == 900
    assert (await models(lasting), await models(ended)) == (200, 401)
    sim.oauth.expire_access(lasting)
    assert await models(lasting) == 401
    assert sim.account(lasting) is not sim.account(ended)


async def test_a_token_may_fail_before_its_end(sim, models):
    access, _, _ = sim.oauth.grant(500.0)
    sim.oauth.early_rejection = 100.0
    assert await models(access) == 200
    sim.oauth.early_rejection = 600.0
    assert await models(access) == 401


async def test_tokens_of_elsewhere_are_taken_unless_it_is_strict(sim, models):
    issued, _, _ = sim.oauth.grant()
    assert await models("an.oauth.token") == 200
    sim.oauth.strict = True
    assert (await models("an.oauth.token"), await models(issued)) == (401, 200)


async def test_a_login_is_let_in_where_only_certain_keys_are(session):
    async with simulator(keys=frozenset({"sk-kimi-example-5678"})) as sim:
        issued, _, _ = sim.oauth.grant()
        for token, status in ((issued, 200), ("an.oauth.token", 401), ("sk-kimi-example-5678", 200)):
            headers = {"Authorization": f"Bearer {token}"}
            async with session.get(f"{sim.kimi_code}/me", headers=headers) as response:
                assert response.status == status


FORM = "application/x-www-form-urlencoded"
CLIENT = f"client_id={CLIENT_ID}"
BAD = [
    (TOKEN, f"{CLIENT}&grant_type=password", FORM, "unsupported_grant_type"),
    (TOKEN, f"{CLIENT}&grant_type=", FORM, "invalid_request"),
    (TOKEN, CLIENT, FORM, "invalid_request"),
    (TOKEN, f"{CLIENT}&grant_type=refresh_token", FORM, "invalid_request"),
    (TOKEN, f"{CLIENT}&grant_type={DEVICE_GRANT}", FORM, "invalid_request"),
    (TOKEN, f"{CLIENT}&grant_type=refresh_token&refresh_token=rt-example-nobody", FORM, "invalid_grant"),
    (TOKEN, f"{CLIENT}&grant_type={DEVICE_GRANT}&device_code=nobody", FORM, "invalid_grant"),
    (TOKEN, "grant_type=refresh_token&refresh_token=a", FORM, "invalid_request"),
    (TOKEN, "client_id=somebody&grant_type=refresh_token&refresh_token=a", FORM, "invalid_client"),
    (TOKEN, f"{CLIENT}&grant_type=refresh_token&refresh_token=a&refresh_token=b", FORM, "invalid_request"),
    (TOKEN, f'{{"client_id":"{CLIENT_ID}","grant_type":"refresh_token"}}', "application/json", "invalid_request"),
    (TOKEN, f'{{"client_id":"{CLIENT_ID}","grant_type":"refresh_token"}}', FORM, "invalid_request"),
    (TOKEN, "", FORM, "invalid_request"),
    (TOKEN, "%ff%fe=%ff", FORM, "invalid_request"),
    (TOKEN, "&".join(f"a{number}=1" for number in range(100)), FORM, "invalid_request"),
    (BEGIN, "", FORM, "invalid_request"),
    (BEGIN, "client_id=somebody", FORM, "invalid_client"),
    (BEGIN, CLIENT, "text/plain", "invalid_request"),
]


@pytest.mark.parametrize(("path", "body", "kind", "word"), BAD)
async def test_what_is_no_form_of_the_official_client_is_refused_in_a_word(sim, session, path, body, kind, word):
    async with session.post(sim.url + path, data=body.encode(), headers={"Content-Type": kind}) as response:
        assert response.status == 400
        told = await response.json()
    assert told["error"] == word
    assert told["error_description"]
    assert sim.seen[-1].ended == "refused"


async def test_a_form_may_name_its_charset(sim, session):
    kind = {"Content-Type": f"{FORM}; charset=UTF-8"}
    async with session.post(sim.url + BEGIN, data=CLIENT.encode(), headers=kind) as response:
        assert response.status == 200


async def test_the_witness_keeps_only_the_end_of_codes_and_tokens(sim, refresh, poll):
    await refresh("rt-example-secret-9876")
    assert b"secret" not in sim.seen[-1].body
    assert sim.seen[-1].body.endswith("refresh_token=…9876".encode())
    await poll({"device_code": "abc"})
    assert "device_code=…".encode() in sim.seen[-1].body
    assert b"abc" not in sim.seen[-1].body


def test_codes_and_tokens_are_not_remembered_without_end():
    oauth = OAuth()
    first, _, _ = oauth.grant()
    for _ in range(MOST):
        oauth.grant()
    assert oauth.login_of(first) == ""
    assert len(oauth._access) == len(oauth._refresh) == MOST


def test_clearing_forgets_logins_and_settings():
    oauth = OAuth()
    access, _, _ = oauth.grant()
    oauth.lifetime, oauth.fail_next = 5.0, [500]
    oauth.clear()
    assert oauth.login_of(access) == ""
    assert (oauth.lifetime, oauth.fail_next, oauth.refreshes) == (900.0, [], 0)


def test_two_login_servers_share_nothing():
    one, other = OAuth(), OAuth()
    access, _, _ = one.grant()
    one.fail_next.append(500)
    assert other.login_of(access) == ""
    assert other.fail_next == []


def test_a_token_is_let_in_until_its_time_is_over():
    oauth = OAuth()
    access, _, _ = oauth.grant(60.0)
    assert oauth.lets_in(access)
    assert oauth._access[access].expires_at <= time.time() + 60
