"""How another process sets the simulated web site up, and what a reset forgets."""

import pytest

from moongate.simulator.web import WebScript


async def test_scripts_wait_for_their_user(ada, ben, sim):
    scripts = [{"text": "first"}, {"text": "second"}]
    queued = await ada.send("POST", "/_simulator/web/scripts?user=ada", scripts)
    assert queued.json == {"queued": 2}
    assert "first" not in (await ben.ask()).text
    assert [(await ada.ask()).text for _ in range(2)] == ["first", "second"]
    sim.web.enqueue(WebScript(text="any"))
    assert (await ada.send("DELETE", "/_simulator/web/scripts")).json == {"removed": 1}
    assert (await ben.ask()).text != "any"


async def test_a_script_can_stand(ada, ben, sim):
    end = sim.web.always(WebScript(text="always"), "ada")
    assert [(await ada.ask()).text for _ in range(2)] == ["always", "always"]
    assert (await ben.ask()).text != "always"
    sim.web.enqueue(WebScript(text="once"))
    assert [(await ada.ask()).text for _ in range(2)] == ["once", "always"]
    end()
    assert (await ada.ask()).text != "always"


@pytest.mark.parametrize(
    "script",
    [
        {"nonsense": 1},
        {"piece": 0},
        {"refuse": "unknown"},
        {"refuse": {"status": 200}},
        {"search_form": "none"},
        {"text": 5},
        [{"text": "good"}, {"text": 5}],
        "text",
    ],
)
async def test_a_script_that_cannot_be_taken_is_refused(ada, sim, script):
    got = await ada.send("POST", "/_simulator/web/scripts", script)
    assert got.status == 400
    assert got.json["error"]["message"]
    assert len(sim.web.queue) == 0


async def test_knobs_are_told_and_set(ada, sim):
    assert (await ada.send("GET", "/_simulator/web/knobs")).json["generations"] == "both"
    got = await ada.send("POST", "/_simulator/web/knobs", {"generations": "rest", "access_lifetime": 60})
    assert (got.json["generations"], sim.web.knobs.access_lifetime) == ("rest", 60)
    assert (await ada.send("POST", "/_simulator/web/knobs", {"generations": "third"})).status == 400
    assert (await ada.send("POST", "/_simulator/web/knobs", b"{")).status == 400


async def test_a_user_is_made_set_and_given_tokens(ada, sim):
    path = "/_simulator/web/users?name=eve"
    made = (await ada.send("POST", path)).json
    assert made["name"] == "eve"
    assert (await ada.send("GET", "/api/user", Authorization=f"Bearer {made['access_token']}")).json["id"] == made["id"]
    changed = (await ada.send("POST", path, {"is_barred": True, "level": 20})).json
    assert (changed["is_barred"], changed["refresh_token"]) == (True, made["refresh_token"])
    assert sim.web.user("eve").level == 20
    await ada.send("POST", path, {"is_barred": False, "end_login": True, "revoke_access": True})
    renewal = {"refresh_token": made["refresh_token"]}
    assert (await ada.send("POST", "/api/account.gateway.v1.AuthService/RefreshToken", renewal)).status == 401
    assert (await ada.send("GET", "/api/user", Authorization=f"Bearer {made['access_token']}")).status == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/_simulator/web/users", {}),
        ("/_simulator/web/users?name=eve", {"nonsense": 1}),
        ("/_simulator/web/users?name=eve", {"end_login": "yes"}),
        ("/_simulator/web/users?name=eve", [1]),
        ("/_simulator/web/users?name=eve", {"end_login": True, "level": "high"}),
    ],
)
async def test_settings_of_a_user_that_cannot_be_taken_are_refused(ada, path, body):
    assert (await ada.send("POST", path, body)).status == 400


async def test_turns_chats_and_files_can_be_read_over_http(ada):
    got = await ada.ask("one", WebScript(text="1"))
    [turn] = (await ada.send("GET", "/_simulator/web/log")).json
    assert turn["context"] == [["user", "one"]]
    assert (turn["said"], turn["chat"], turn["state"]) == ("1", got.chat, "completed")
    [chat] = (await ada.send("GET", "/_simulator/web/chats")).json
    assert [message["text"] for message in chat["messages"]] == ["one", "1"]
    assert (await ada.send("GET", "/_simulator/web/files")).json == []


async def test_looking_and_setting_leave_no_trace_in_the_witness(ada, sim):
    await ada.send("GET", "/_simulator/web/log")
    assert sim.seen == []


async def test_reset_forgets_everything(ada, sim):
    token = ada.user.access_token
    await ada.ask()
    sim.web.enqueue(WebScript(text="queued"))
    sim.web.knobs.generations = "connect"
    sim.reset()
    assert (sim.web.log, sim.web.chats.all, len(sim.web.queue)) == ([], {}, 0)
    assert sim.web.knobs.generations == "both"
    assert (await ada.send("GET", "/api/user", Authorization=f"Bearer {token}")).status == 401
    assert "上文消息数: 1." in (await ada.ask()).text
