"""Faults by chance."""

import pytest

from moongate.simulator import Script, Simulator
from moongate.simulator.weather import Weather

KEY = "sk-example-1234"
CODE_KEY = "sk-kimi-example-5678"
OVERLOADED = Script(refuse="engine_overloaded")
CHANCES = ((0.25, OVERLOADED), (0.25, Script(refuse="server_error")))


def content(got):
    return got.json["choices"][0]["message"]["content"]


async def statuses(ask, count=40):
    return [(await ask()).status for _ in range(count)]


async def test_the_same_seed_brings_the_same_weather_and_another_one_another(ask, sim: Simulator):
    drawn = []
    for seed in (1, 1, 2):
        sim.weather(seed, CHANCES)
        drawn.append(await statuses(ask))
    assert drawn[0] == drawn[1] != drawn[2]
    assert set(drawn[0]) == {200, 429, 500}


def test_faults_come_as_often_as_they_are_said_to():
    weather = Weather()
    weather.set(1, ((0.1, OVERLOADED), (0.01, Script(cut_after=1))))
    drawn = [weather.befalls(Script()) for _ in range(20_000)]
    assert 1800 < sum(script.refuse is not None for script in drawn) < 2200
    assert 150 < sum(script.cut_after is not None for script in drawn) < 250


async def test_a_directive_supplies_what_is_said_and_the_weather_what_goes_wrong(ask, sim: Simulator):
    sim.weather(1, ((1.0, Script(text="not this", finish_reason="length", comments=True)),))
    got = await ask('simulate: {"text": "as told", "reasoning": "so", "crlf": true}', stream=True)
    assert (got.joined("content"), got.joined("reasoning_content")) == ("as told", "so")
    assert got.chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert b": simulated\r\n" in got.raw


async def test_the_weather_speaks_where_nobody_else_does(ask, sim: Simulator):
    sim.weather(1, ((1.0, Script(text="thunder")),))
    assert content(await ask()) == "thunder"
    assert content(await ask('simulate: {"finish_reason": "length"}')) == "thunder"


async def test_a_fault_goes_over_the_same_fault_of_a_directive(ask, sim: Simulator):
    sim.weather(1, ((1.0, OVERLOADED),))
    assert (await ask('simulate: {"refuse": "server_error"}')).status == 429


async def test_planned_scripts_meet_no_weather_and_draw_none(ask, sim: Simulator):
    sim.weather(3, CHANCES)
    alone = await statuses(ask)
    sim.weather(3, CHANCES)
    planned = [(await ask(script=Script(text="planned"))).status for _ in range(20)]
    stop = sim.always(Script(text="standing"))
    planned += await statuses(ask, 20)
    stop()
    assert set(planned) == {200}
    assert await statuses(ask) == alone


async def test_requests_refused_for_their_own_sake_or_their_accounts_draw_none(ask, sim: Simulator):
    sim.weather(3, CHANCES)
    alone = await statuses(ask)
    sim.weather(3, CHANCES)
    assert {(await ask(temperature=0)).status for _ in range(10)} == {400}
    assert {(await ask("simulate: {")).status for _ in range(10)} == {400}
    sim.account(KEY).barred = "ip_not_allowed"
    assert set(await statuses(ask, 10)) == {403}
    sim.account(KEY).barred = None
    assert await statuses(ask) == alone


async def test_only_chat_requests_meet_weather_but_those_of_both_products(ask, sim: Simulator, session):
    sim.weather(1, ((1.0, OVERLOADED),))
    for url, key in ((sim.platform, KEY), (sim.kimi_code, CODE_KEY)):
        async with session.get(f"{url}/models", headers={"Authorization": f"Bearer {key}"}) as response:
            assert response.status == 200
    assert [(await ask(code=code)).status for code in (False, True)] == [429, 429]


async def test_the_weather_ends_when_it_is_told_to_and_with_a_reset(ask, sim: Simulator):
    end = sim.weather(1, ((1.0, OVERLOADED),))
    assert (await ask()).status == 429
    end()
    assert (await ask()).status == 200
    sim.weather(1, ((1.0, OVERLOADED),))
    sim.reset()
    assert (await ask()).status == 200


async def test_what_ends_is_the_weather_that_was_set_not_the_next(ask, sim: Simulator):
    end = sim.weather(1, ((1.0, OVERLOADED),))
    sim.weather(1, ((1.0, Script(refuse="server_error")),))
    end()
    assert (await ask()).status == 500


async def test_a_standing_script_may_end_after_all_were_dropped(ask, sim: Simulator):
    end = sim.always(Script(text="standing"))
    assert content(await ask()) == "standing"
    sim.clear_queue()
    end()
    assert "no model was asked" in content(await ask())


@pytest.mark.parametrize("shares", [(-0.1,), (0.6, 0.5), (float("nan"),)])
def test_chances_are_shares_of_all_requests(shares):
    with pytest.raises(ValueError, match="shares"):
        Weather().set(1, [(share, OVERLOADED) for share in shares])


def test_shares_may_add_up_to_everything():
    weather = Weather()
    weather.set(1, [(0.1, OVERLOADED)] * 10)
    assert sum(weather.befalls(Script()).refuse is not None for _ in range(1000)) >= 999
