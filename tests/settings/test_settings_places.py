"""Where settings stand, which place wins, and how each file is read."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from given_settings import KEY_A, KEY_B, PLAIN, VALUES, account, message, settings
from moongate.core.sealed import Sealed
from moongate.settings import SettingsError, load

# Where settings stand


def test_each_place_wins_over_the_next(tmp_path: Path) -> None:
    given_in: dict[str, Callable[[str, str], dict[str, Any]]] = {
        "overrides": lambda name, value: {"overrides": {name: value}},
        "environ": lambda name, value: {"environ": {name: value}},
        "dotenv": lambda name, value: {"dotenv": f"{name}='{value}'\n"},
        "toml": lambda name, value: {"toml": f'{name.lower()} = "{value}"\n'},
        "default": lambda name, value: {},
    }
    for setting in PLAIN:
        first, second, _ = VALUES[setting.name]
        site = {"KIMI_SITE_ENABLED": "true"} if setting.name == "KIMI_SITE_BASE_URL" else {}
        keys = ("KIMI_API_KEY", "KIMI_CODE_API_KEY", "KIMI_TOKENS")
        accounts = site | {name: KEY_A for name in keys if name != setting.name}
        wanted = settings(tmp_path, accounts | {setting.name: first})
        other = settings(tmp_path, accounts | {setting.name: second})
        assert wanted != other, setting.name
        for higher, lower in pairwise(given_in):
            both = given_in[higher](setting.name, first) | given_in[lower](setting.name, second)
            both["environ"] = accounts | both.get("environ", {})
            assert settings(tmp_path, **both) == wanted, (setting.name, higher, lower)


@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_text_is_not_set_wherever_it_stands(tmp_path: Path, blank: str) -> None:
    found = settings(
        tmp_path,
        {"API_PORT": blank, "LOG_LEVEL": blank},
        overrides={"API_PORT": blank, "LOG_LEVEL": None},
        dotenv=f"API_PORT='{blank}'\n",
        toml=f'api_port = 9000\napi_master_key = "{blank}"\n',
    )
    assert (found.listen.port, found.log.level, found.callers.master_key) == (9000, "INFO", None)


def test_the_command_line_may_spell_names_in_either_case(tmp_path: Path) -> None:
    assert settings(tmp_path, overrides={"api_port": 9000, "LOG_LEVEL": "debug"}).listen.port == 9000


def test_an_unknown_name_on_the_command_line_is_refused_with_the_nearest(tmp_path: Path) -> None:
    told = message(tmp_path, overrides={"api_prot": 1})
    assert told == "API_PROT (command line): is not a known name; the nearest is API_PORT"


def test_unknown_variables_are_left_alone(tmp_path: Path) -> None:
    environ = {"API_PROT": "x", "ACCOUNTS": "y", "MODELS": "z", "api_port": "w"}
    assert settings(tmp_path, environ, dotenv="WHATEVER=1\n") == settings(tmp_path)


def test_api_port_wins_over_its_other_name_port(tmp_path: Path) -> None:
    assert settings(tmp_path, {"PORT": "3000"}).listen.port == 3000
    assert settings(tmp_path, {"PORT": "3000", "API_PORT": "4000"}).listen.port == 4000
    assert settings(tmp_path, {"PORT": "3000", "API_PORT": ""}).listen.port == 3000
    assert settings(tmp_path, toml="port = 3000").listen.port == 3000


def test_port_in_the_environment_wins_over_api_port_in_a_file(tmp_path: Path) -> None:
    assert settings(tmp_path, {"PORT": "3000"}, dotenv="API_PORT=4000\n").listen.port == 3000


def test_dotenv_values_are_taken_as_they_stand(tmp_path: Path) -> None:
    dotenv = """# a comment
export LOG_LEVEL=debug  # why not
API_MASTER_KEY='pa$${HOME} # word'
API_HOST="localhost"

MAX_RETRIES=
"""
    found = settings(tmp_path, {"HOME": "/root"}, dotenv=dotenv)
    assert found.callers.master_key == Sealed("pa$${HOME} # word")
    assert (found.log.level, found.listen.host, found.deadlines.retries) == ("DEBUG", "localhost", 3)


def test_a_broken_line_of_dotenv_is_named_without_what_stands_in_it(tmp_path: Path) -> None:
    told = message(tmp_path, dotenv=f"LOG_LEVEL=debug\n\n\nKIMI_API_KEY {KEY_A}\n")
    assert told == ".env: line 4 is not NAME=value"


@pytest.mark.parametrize("name", [".env", "moongate.toml"])
def test_files_may_begin_with_a_byte_order_mark(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + (b"API_PORT=9000\n" if name == ".env" else b"api_port = 9000\n"))
    assert load(environ={}, directory=tmp_path).listen.port == 9000


@pytest.mark.parametrize("name", [".env", "moongate.toml"])
def test_a_file_that_is_not_utf8_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes("LOG_LEVEL='ä'".encode("utf-16"))
    with pytest.raises(SettingsError) as caught:
        load(environ={}, directory=tmp_path)
    assert str(caught.value) == f"{name}: is not UTF-8 text"
    assert caught.value.setting == name


@pytest.mark.parametrize("name", [".env", "moongate.toml"])
def test_a_file_that_cannot_be_read_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(SettingsError) as caught:
        load(environ={}, directory=tmp_path)
    assert str(caught.value) == f"{name}: cannot be read: Is a directory"


# moongate.toml


def test_the_file_may_be_named_and_is_looked_for_from_the_directory(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "gate.toml").write_text("api_port = 9000")
    named = {"MOONGATE_CONFIG": "conf/gate.toml"}
    assert settings(tmp_path, named).listen.port == 9000
    assert settings(tmp_path, dotenv="MOONGATE_CONFIG=./conf/gate.toml").listen.port == 9000
    assert settings(tmp_path, overrides={"moongate_config": tmp_path / "conf" / "gate.toml"}).listen.port == 9000
    (tmp_path / "conf" / "gate.toml").write_text("api_port = 99999")
    assert message(tmp_path, named) == "api_port=99999 (conf/gate.toml): must be a port from 0 to 65535"


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    told = message(tmp_path, {"MOONGATE_CONFIG": "gone.toml"})
    assert told == "MOONGATE_CONFIG=gone.toml (environment): there is no such file"
    assert message(tmp_path, overrides={"MOONGATE_CONFIG": Path("gone.toml")}).startswith("MOONGATE_CONFIG=gone.toml (")


def test_the_file_cannot_name_itself(tmp_path: Path) -> None:
    assert message(tmp_path, toml='moongate_config = "x"').startswith("moongate_config (moongate.toml): is not a known")


def test_broken_toml_is_told_with_file_and_position(tmp_path: Path) -> None:
    told = message(tmp_path, toml=f'api_port = 9000\nkimi_api_key = "{KEY_A}\n')
    assert told.startswith("moongate.toml: is not TOML: ")
    assert "(at line 2, column" in told
    assert KEY_A not in told


@pytest.mark.parametrize("content", ["a = " + "9" * 5000, "a = " + "[" * 100_000])
def test_absurd_toml_is_told_in_one_line(tmp_path: Path, content: str) -> None:
    assert message(tmp_path, toml=content).startswith("moongate.toml: is not TOML")


def test_an_absurd_number_is_told_in_one_line(tmp_path: Path) -> None:
    assert message(tmp_path, toml="api_port = 0x" + "f" * 6000) == (
        "api_port=… (moongate.toml): must be a port from 0 to 65535"
    )


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("api_prot = 1", "api_prot (moongate.toml): is not a known name; the nearest is api_port"),
        ("API_PORT = 1", "API_PORT (moongate.toml): is not a known name; the nearest is api_port"),
        ("[[acounts]]", "acounts (moongate.toml): is not a known name; the nearest is accounts"),
        (
            account(f'credentail = "{KEY_A}"'),
            "accounts[team-a].credentail (moongate.toml): is not a known name; the nearest is credential",
        ),
        (
            '[[models]]\nroute = ["moonshot/x"]',
            "models[#1].route (moongate.toml): is not a known name; the nearest is routes",
        ),
    ],
)
def test_an_unknown_key_is_an_error_with_the_nearest_name(tmp_path: Path, toml: str, told: str) -> None:
    assert message(tmp_path, toml=toml) == told


def test_toml_values_may_have_types_of_their_own(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        toml=f"""
        api_port = 0
        debug = true
        request_timeout = 2.5
        moongate_total_timeout = 0
        moongate_max_body = 1000
        kimi_api_key = ["{KEY_A}", " {KEY_B} ", ""]
        allowed_origins = []
        """,
    )
    assert (found.listen.port, found.listen.max_body, found.listen.allowed_origins) == (0, 1000, ())
    assert (found.deadlines.first_byte_stream, found.deadlines.total, found.log.debug) == (2.5, None, True)
    assert [each.credential.reveal() for each in found.accounts] == [KEY_A, KEY_B]


@pytest.mark.parametrize(
    ("toml", "start"),
    [
        ("api_port = true", "api_port=true (moongate.toml): must be a port"),
        ("api_port = 80.0", "api_port=80.0 (moongate.toml): must be a port"),
        ("max_retries = [1]", "max_retries=[1] (moongate.toml): must be a whole number"),
        ("debug = 2", "debug=2 (moongate.toml): must be true"),
        ("request_timeout = true", "request_timeout=true (moongate.toml): must be a number"),
        ("log_level = 1979-05-27", 'log_level="1979-05-27" (moongate.toml): must be DEBUG'),
        ("trusted_proxies = [5]", "trusted_proxies=5 (moongate.toml): must be a comma-separated list"),
        ("trusted_proxies = 5", "trusted_proxies=5 (moongate.toml): must be a comma-separated list"),
        ("kimi_api_key = 1234567890123", "kimi_api_key=… (moongate.toml): must be a comma-separated list"),
        ("accounts = 5", "accounts=… (moongate.toml): must be tables"),
        ('[accounts]\nname = "a"', "accounts=… (moongate.toml): must be tables"),
        ('moongate_home = "a\\u0000b"', "moongate_home=a\\x00b (moongate.toml): must be a path"),
    ],
)
def test_a_toml_value_of_the_wrong_type_is_refused(tmp_path: Path, toml: str, start: str) -> None:
    assert message(tmp_path, toml=toml).startswith(start)
