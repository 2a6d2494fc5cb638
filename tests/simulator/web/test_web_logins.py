"""Tokens of the simulated web site: their claims, how they are renewed, and who is let in."""

import base64
import json

import aiohttp
import pytest

CURRENT = "/api/account.gateway.v1.AuthService/RefreshToken"
LEGACY = "/api/auth/token/refresh"


def claims(token):
    header, payload, signature = token.split(".")
    assert len(signature) == 86  # HS512
    assert json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["alg"] == "HS512"
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


async def renew(ada, token, member="refresh_token"):
    return await ada.send("POST", CURRENT, {member: token}, Authorization="")


async def renew_formerly(ada, token):
    return await ada.send("GET", LEGACY, Authorization=f"Bearer {token}")


async def test_tokens_have_the_claims_of_the_newer_form(ada):
    access, refresh = claims(ada.user.access_token), claims(ada.user.refresh_token)
    assert (access["typ"], refresh["typ"], access["app_id"]) == ("access", "refresh", "kimi")
    assert access["exp"] - access["iat"] == 900
    assert refresh["exp"] - refresh["iat"] == 7_776_000
    assert access["sub"] == refresh["sub"] == ada.user.id
    assert access["aud"] == ["kimi.com"]
    assert access["membership"] == {"level": 10}
    assert access["jti"] != refresh["jti"]
    assert "space_id" not in access


async def test_tokens_have_the_claims_of_the_older_form_where_they_are_to(ada):
    ada.user.claims, ada.user.region = "older", "overseas"
    older = claims(ada.user.access_token)
    assert (older["iss"], older["region"]) == ("user-center", "overseas")
    assert "space_id" in older
    assert "aud" not in older


async def test_a_current_token_is_given_again(ada):
    assert ada.user.access_token == ada.user.access_token
    assert ada.user.refresh_token == ada.user.refresh_token


@pytest.mark.parametrize("member", ["refresh_token", "refreshToken"])
async def test_the_current_endpoint_renews_both_tokens(ada, member):
    before = ada.user.refresh_token
    got = await renew(ada, before, member)
    assert got.status == 200
    assert set(got.json) == {"accessToken", "refreshToken"}
    assert got.json["refreshToken"] == ada.user.refresh_token != before
    user = await ada.send("GET", "/api/user", Authorization=f"Bearer {got.json['accessToken']}")
    assert user.json == {"id": ada.user.id, "name": "ada", "status": "normal"}
    assert ada.user.refreshes == 1


async def test_a_spent_refresh_token_is_refused_and_recorded(ada):
    before = ada.user.refresh_token
    await renew(ada, before)
    again = await renew(ada, before)
    assert (again.status, again.json["code"], again.json["message"]) == (401, "unauthenticated", "invalid claims")
    assert ada.user.reuses == [before[-4:]]
    assert ada.user.refreshes == 1
    assert (await renew(ada, ada.user.refresh_token)).status == 200


async def test_a_spent_refresh_token_may_work_for_a_while(ada, sim):
    sim.web.knobs.reuse_grace = 60.0
    before = ada.user.refresh_token
    assert (await renew(ada, before)).status == 200
    assert (await renew(ada, before)).status == 200


async def test_the_legacy_endpoint_renews_too(ada):
    before = ada.user.refresh_token
    got = await renew_formerly(ada, before)
    assert set(got.json) == {"access_token", "refresh_token"}
    again = await renew_formerly(ada, before)
    assert (again.status, again.json["error_type"]) == (401, "auth.token.invalid")


async def test_names_in_the_answer_can_be_in_snake_case(ada, sim):
    sim.web.knobs.current_refresh = "snake"
    assert set((await renew(ada, ada.user.refresh_token)).json) == {"access_token", "refresh_token"}


@pytest.mark.parametrize("generations", ["both", "connect", "rest"])
async def test_each_endpoint_can_be_away_whatever_generation_is_served(ada, sim, generations):
    sim.web.knobs.generations = generations
    sim.web.knobs.current_refresh = "away"
    assert (await renew(ada, ada.user.refresh_token)).status == 404
    assert (await renew_formerly(ada, ada.user.refresh_token)).status == 200
    sim.web.knobs.current_refresh, sim.web.knobs.legacy_refresh = "camel", "away"
    assert (await renew_formerly(ada, ada.user.refresh_token)).status == 404
    assert (await renew(ada, ada.user.refresh_token)).status == 200


async def test_an_answer_can_be_lost_after_the_tokens_rotated(ada, sim):
    sim.web.knobs.lose_refreshes = 1
    before = ada.user.refresh_token
    with pytest.raises(aiohttp.ClientError):
        await renew(ada, before)
    assert sim.seen[-1].ended == "cut"
    assert ada.user.refreshes == 1
    assert (await renew(ada, before)).status == 401


async def test_renewals_can_fail_in_passing(ada, sim):
    sim.web.knobs.fail_refreshes = [503, 500]
    assert (await renew(ada, ada.user.refresh_token)).status == 503
    assert (await renew_formerly(ada, ada.user.refresh_token)).status == 500
    assert (await renew(ada, ada.user.refresh_token)).status == 200


async def test_after_the_login_ended_its_refresh_token_is_refused_but_not_its_access_token(ada):
    access = ada.user.access_token
    ada.user.end_login()
    assert (await renew(ada, ada.user.refresh_token)).status == 401
    assert (await renew_formerly(ada, ada.user.refresh_token)).status == 401
    assert (await ada.send("GET", "/api/user", Authorization=f"Bearer {access}")).status == 200
    ada.user.log_in()
    assert (await renew(ada, ada.user.refresh_token)).status == 200


async def test_an_access_token_expires(ada, sim):
    sim.web.knobs.access_lifetime = 0.0
    got = await ada.send("GET", "/api/user")
    assert (got.status, got.json["error_type"]) == (401, "auth.token.invalid")


async def test_a_revoked_access_token_is_refused_by_both_generations(ada):
    before = ada.user.access_token
    ada.user.revoke_access()
    assert (await ada.send("GET", "/api/user", Authorization=f"Bearer {before}")).status == 401
    got = await ada.call("GetChat", {}, Authorization=f"Bearer {before}")
    assert (got.status, got.json["code"]) == (401, "unauthenticated")
    assert got.json["details"][0]["debug"]["reason"] == "REASON_INVALID_AUTH_TOKEN"
    assert (await ada.send("GET", "/api/user")).status == 200


@pytest.mark.parametrize("kind", ["nothing", "no token", "forged", "of the other kind", "another signature"])
async def test_what_was_not_issued_as_an_access_token_is_refused(ada, kind):
    good, refresh = ada.user.access_token, ada.user.refresh_token
    payload = good.split(".")[1]
    token = {
        "nothing": "",
        "no token": "sk-example-1",
        "forged": f"{good.split('.')[0]}.{payload}.{'A' * 86}",
        "of the other kind": refresh,
        "another signature": f"{good}é",
    }[kind]
    assert (await ada.send("GET", "/api/user", Authorization=f"Bearer {token}")).status == 401
    assert (await ada.call("Chat", {}, Authorization=f"Bearer {token}")).status == 401


async def test_an_access_token_does_not_renew(ada):
    assert (await renew(ada, ada.user.access_token)).status == 401


@pytest.mark.parametrize("body", [b"", b"[]", b'{"refresh_token": 5}', b"\xff", b"[" * 100_000])
async def test_a_renewal_that_makes_no_sense_is_refused(ada, body):
    assert (await ada.send("POST", CURRENT, body)).status == 401


async def test_a_barred_user_is_refused_everywhere(ada):
    ada.user.is_barred = True
    assert (await ada.send("GET", "/api/user")).status == 403
    got = await ada.ask()
    assert (got.status, got.json["code"]) == (403, "permission_denied")


async def test_a_guest_registers_by_device(ada, sim):
    assert (await ada.send("POST", "/api/device/register", {})).status == 422
    got = await ada.send("POST", "/api/device/register", {}, x_msh_device_id="7000000000000000001")
    token = got.json["access_token"]
    assert got.headers["Set-Cookie"].startswith(f"kimi-auth={token};")
    assert (await ada.send("GET", "/api/user", Authorization=f"Bearer {token}")).status == 200


async def test_the_witness_keeps_no_token(ada, sim):
    await renew(ada, ada.user.refresh_token)
    spent = claims(ada.user.refresh_token)
    assert spent["typ"] == "refresh"
    assert sim.seen[-1].path == CURRENT
    assert len(sim.seen[-1].json["refresh_token"]) == 5
    assert sim.seen[-1].body == b""
    await ada.send("GET", "/api/user")
    assert sim.seen[-1].headers["authorization"] == f"Bearer …{ada.user.access_token[-4:]}"
    assert (sim.seen[-1].status, sim.seen[-1].ended) == (200, "answered")
