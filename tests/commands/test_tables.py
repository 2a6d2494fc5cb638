"""What the operator sees of the accounts, to the letter."""

import io
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec import structs
from rich.console import Console
from rich.table import Table

from moongate.commands.cells import Seen
from moongate.commands.tables import accounts_table, as_json, checks_table, console, seen
from moongate.commands.words import CHINESE, ENGLISH, words
from moongate.core.standing import Standing, Window
from moongate.pool.health import CONSEQUENCES
from moongate.pool.report import AccountReport, CheckReport, Rested

NOW = datetime(2026, 11, 21, 13, 53, tzinfo=UTC).timestamp()
LOOK = Seen(NOW, ENGLISH, UTC)

PLAN = Standing(
    NOW - 60,
    (
        Window("5h", 1.0, NOW + 720),
        Window("7d", 0.853, NOW + 3 * 24 * 3600),
        Window("month", 0.2, NOW + 9 * 24 * 3600),
        Window("month code", 0.15),
    ),
    plan="ADVANCED",
)
MONEY = Standing(NOW, balance=1049.58894, currency="USD")
RESTING = AccountReport(
    name="kimi-code-1",
    upstream="kimi-code",
    credential="…ab12",
    state="resting",
    kind="quota_exhausted",
    reason="You've reached your 5-hour usage limit. [redacted]",
    until=NOW + 720,
    leased=0,
    max_concurrency=3,
    served=120,
    failed=3,
    standing=PLAN,
)
READY = AccountReport(
    name="main",
    upstream="moonshot",
    credential="…cd34",
    state="ready",
    leased=2,
    served=7,
    resting=(Rested(scope="model kimi-k3", kind="overloaded", reason="busy", until=NOW + 40),),
    standing=MONEY,
)
OUT = AccountReport(
    name="old", upstream="kimi-code", credential="…", state="out", kind="login_expired", reason="log in again"
)


def drawn(table: Table, width: int = 100, **how: object) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, markup=False, **how).print(table)  # type: ignore[arg-type]
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_accounts_are_told_with_their_state_their_plan_and_their_requests() -> None:
    assert "\n".join(drawn(accounts_table((READY, RESTING, OUT), LOOK), 80)) == EXPECTED


EXPECTED = """\
Account           State               Plan used, balance              Requests
────────────────────────────────────────────────────────────────────────────────
main              ready               balance 1,049.59 USD            now 2
moonshot …cd34    model kimi-k3:                                      served 7
                  overloaded, until
                  13:53 (in 40 s)

kimi-code-1       resting: quota      ADVANCED                        now 0/3
kimi-code …ab12   used up             5h         █████ 100% → 14:05   served 120
                  until 14:05 (in     7d         ████░  85% → 11-24   failed 3
                  12 min)             month      █░░░░  20% → 11-30
                  You've reached      month code █░░░░  15%
                  your 5-hour usage
                  limit. [redacted]

old               out: login                                          now 0
kimi-code …       expired                                             served 0
                  until something
                  changes
                  log in again"""


def test_accounts_are_told_in_chinese() -> None:
    text = "\n".join(drawn(accounts_table((RESTING, OUT), structs.replace(LOOK, words=CHINESE))))
    for said in ("账号", "状态", "休息: 额度用尽", "至 14:05 (12 分钟后)", "当前 0/3", "失败 3", "直到情况有变"):
        assert said in text


@pytest.mark.parametrize("width", [80, 120])
def test_a_table_fits_its_place_and_breaks_no_bar(width: int) -> None:
    lines = drawn(accounts_table((READY, RESTING, OUT), LOOK), width)
    assert max(map(len, lines)) <= width
    assert any("7d         ████░  85% → 11-24" in line for line in lines)


def test_colours_are_for_terminals() -> None:
    assert not any("\x1b" in line for line in drawn(accounts_table((RESTING,), LOOK)))
    assert any(
        "\x1b" in line for line in drawn(accounts_table((RESTING,), LOOK), force_terminal=True, color_system="standard")
    )


def test_what_a_vendor_says_can_neither_colour_nor_move_anything() -> None:
    odd = structs.replace(OUT, reason="[red]no[/red]\n\x1b[2J\x07 and\tmore", name="[b]x")
    text = "\n".join(drawn(accounts_table((odd,), LOOK)))
    assert "[red]no[/red] [2J and more" in text
    assert "[b]x" in text


def test_a_check_is_told_with_its_problem_models_and_time() -> None:
    reports = (
        CheckReport(
            name="main",
            upstream="moonshot",
            credential="…cd34",
            models=("kimi-k3", "kimi-k2.6"),
            standing=MONEY,
            seconds=0.44,
        ),
        CheckReport(
            name="kimi-code-1",
            upstream="kimi-code",
            credential="…ab12",
            problem="Invalid Authentication (check that key and base URL belong together)",
            models=("kimi-for-coding", "kimi-for-coding-highspeed", "k3", "k3-256k", "kimi-k2.5"),
            standing=PLAN,
            clock_skew=-75.2,
            seconds=1.0,
        ),
    )
    assert "\n".join(drawn(checks_table(reports, LOOK), 80)) == EXPECTED_CHECKS


EXPECTED_CHECKS = """\
Account           Result                          Models             Took
────────────────────────────────────────────────────────────────────────────────
main              all is well                     kimi-k3            0.4 s
moonshot …cd34    balance 1,049.59 USD            kimi-k2.6

kimi-code-1       Invalid Authentication (check   kimi-for-coding    1.0 s
kimi-code …ab12   that key and base URL belong    kimi-for-coding-   clock -75 s
                  together)                       highspeed
                  ADVANCED                        k3
                  5h         █████ 100% → 14:05   and 2 more
                  7d         ████░  85% → 11-24
                  month      █░░░░  20% → 11-30
                  month code █░░░░  15%"""


def test_where_there_is_room_the_longest_name_of_a_model_is_whole() -> None:
    report = CheckReport(name="a", upstream="kimi-code", credential="", models=("kimi-for-coding-highspeed",))
    wide, narrow = (structs.replace(LOOK, is_wide=is_wide) for is_wide in (True, False))
    assert "kimi-for-coding-highspeed" in "\n".join(drawn(checks_table((report,), wide), 120))
    assert "kimi-for-coding-highspeed" not in "\n".join(drawn(checks_table((report,), narrow), 80))


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        (0, "13:53 (in 0 s)"),
        (-5, "13:52 (in 0 s)"),
        (40, "13:53 (in 40 s)"),
        (100, "13:54 (in 2 min)"),
        (5400, "15:23 (in 2 h)"),
        (20 * 3600, "09:53 (in 20 h)"),
        (26 * 3600, "11-22 15:53 (in 26 h)"),
        (72 * 3600, "11-24 13:53 (in 3 days)"),
    ],
)
def test_a_moment_is_told_by_the_clock_and_by_how_long_it_is(ahead: float, told: str) -> None:
    text = " ".join(drawn(accounts_table((structs.replace(OUT, state="resting", until=NOW + ahead),), LOOK), 200))
    assert f"until {told}" in text


def test_the_clock_is_the_one_on_the_wall() -> None:
    shanghai = structs.replace(LOOK, zone=timezone(timedelta(hours=8)))
    assert any("until 22:05" in line for line in drawn(accounts_table((RESTING,), shanghai)))


@pytest.mark.parametrize(
    ("used", "told"),
    [(0.0, "░░░░░   0%"), (0.999, "█████  99%"), (1.0, "█████ 100%"), (1.3, "█████ 130%"), (0.29, "█░░░░  29%")],
)
def test_a_share_is_a_bar_and_a_percentage_that_is_full_only_when_it_is(used: float, told: str) -> None:
    report = structs.replace(READY, standing=Standing(NOW, (Window("5h", used),)))
    assert any(f"5h {told}" in line for line in drawn(accounts_table((report,), LOOK)))


def test_programs_get_moments_in_seconds_and_as_text() -> None:
    (report,) = json.loads(as_json((RESTING,)))["accounts"]
    assert (report["name"], report["until"], report["until_iso"]) == (
        "kimi-code-1",
        NOW + 720,
        "2026-11-21T14:05:00+00:00",
    )
    assert report["standing"]["windows"][0]["resets_at_iso"] == "2026-11-21T14:05:00+00:00"
    assert report["standing"]["windows"][3]["resets_at_iso"] is None
    (check,) = json.loads(as_json((CheckReport(name="a", upstream="b", credential="…", models=("k3",)),)))["accounts"]
    assert check["models"] == ["k3"]


@pytest.mark.parametrize(
    ("environ", "is_chinese"),
    [
        ({}, False),
        ({"LANG": "zh_CN.UTF-8"}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_TW.UTF-8"}, True),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, True),
        ({"LANG": "de_DE.UTF-8"}, False),
    ],
)
def test_the_language_is_the_locales(environ: dict[str, str], is_chinese: bool) -> None:
    assert words(environ) is (CHINESE if is_chinese else ENGLISH)


@pytest.mark.parametrize("language", [ENGLISH, CHINESE])
def test_there_is_a_word_for_everything_an_account_rests_for(language) -> None:
    assert set(language.kinds) == {kind.code for kind in CONSEQUENCES}
    assert all(value for value in structs.astuple(language))


def test_an_output_without_the_letters_gets_others() -> None:
    raw = io.BytesIO()
    out = console(io.TextIOWrapper(raw, encoding="ascii"))
    out.print(accounts_table((RESTING,), structs.replace(seen(out, NOW), zone=UTC)))
    out.file.flush()
    assert b"5h         ##### 100% > 14:05" in raw.getvalue()
