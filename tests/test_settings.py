"""Settings: what is read from where, what becomes of it, and how a mistake is told."""

import copy
import dataclasses
import pickle
import re
import tomllib
import traceback
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate import __version__
from moongate.core.sealed import Sealed
from moongate.settings import ACCOUNT, MODEL, SECTIONS, TABLE, AccountSetting, Setting, Settings, SettingsError, load
from moongate.settings import table as rows

REPOSITORY = Path(__file__).parent.parent

KEY_A, KEY_B = "sk-example-aaaaaaaaaaaa", "sk-example-bbbbbbbbbbbb"

# name: two values that are right and mean different things, and some that are wrong
VALUES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "KIMI_API_KEY": (KEY_A, KEY_B, ("schlüssel", "sk-example\x07")),
    "KIMI_BASE_URL": (
        "https://api.moonshot.ai/v1",
        "http://10.0.0.1:8080",
        (
            "api.moonshot.ai",
            "ftp://example.com",
            "https://",
            "https://example.com/v1?a=b",
            "https://example.com/#a",
            "https://example.com:port",
            "https://example.com:99999",
            "https://exam ple.com",
            "https://[::1",
        ),
    ),
    "KIMI_CODE_API_KEY": (KEY_A, KEY_B, ("钥匙",)),
    "KIMI_API_BASE_URL": ("https://example.com/coding", "https://example.org/coding/v1", ("kimi", "https:///v1")),
    "USER_AGENT": ("curl/8", "other/1", ("agent\x1b[0m", "门")),
    "API_MASTER_KEY": (KEY_A, KEY_B, ("ключ",)),
    "DEFAULT_AUTHKEYS": (KEY_A, KEY_B, ("a,ключ",)),
    "REQUIRE_API_KEY": ("true", "false", ("maybe", "2", "y")),
    "VALID_API_KEYS": (KEY_A, KEY_B, ("ключ",)),
    "CALLER_TOKENS": ("yes", "no", ("perhaps",)),
    "MOONGATE_PUBLIC_MODELS": ("off", "on", ("public",)),
    "API_HOST": ("0.0.0.0", "localhost", ("http://localhost", "0.0.0.0:8000", "999.1.1.1", "a b", "*")),
    "API_PORT": ("9000", "0", ("99999", "-1", "eighty", "80.5", "true")),
    "MOONGATE_MAX_BODY": ("512k", "1GB", ("0", "-5", "20 miles", "MiB", "1.5m", "9" * 5000)),
    "ALLOWED_ORIGINS": (
        "https://example.com",
        "http://localhost:3000,https://example.org",
        ("example.com", "https://example.com/path", "https://*.example.com", "https://a:b", "https://u@example.com"),
    ),
    "TRUSTED_PROXIES": ("10.0.0.0/8", "::1,127.0.0.1", ("proxy", "10.0.0.0/99", "127.0.0.1,localhost")),
    "REQUEST_TIMEOUT": ("5", "7.5", ("0", "off", "-1", "nan", "inf", "1e999", "60s")),
    "MOONGATE_STALL_TIMEOUT": ("5", "7.5", ("0", "off", "soon")),
    "MOONGATE_TOTAL_TIMEOUT": ("5", "off", ("-1", "never", "nan")),
    "MOONGATE_HEARTBEAT": ("5", "0", ("-1", "often")),
    "MAX_RETRIES": ("0", "20", ("21", "-1", "2.5", "many")),
    "LOG_LEVEL": ("debug", "Error", ("LOUD",)),
    "MOONGATE_LOG_FORMAT": ("json", "text", ("xml",)),
    "DEBUG": ("1", "0", ("express:all",)),
    "MOONGATE_HOME": ("here", "/var/lib/moongate", ("~nobody-of-this-name/x",)),
    "NODE_ENV": ("development", "production", ()),
}

BY_NAME: dict[str, Setting[object]] = {setting.name: setting for setting in TABLE}
PLAIN = [setting for setting in TABLE if setting.name != "MOONGATE_CONFIG"]
SECRET = ["KIMI_API_KEY", "KIMI_CODE_API_KEY", "API_MASTER_KEY", "DEFAULT_AUTHKEYS", "VALID_API_KEYS"]
WRONG = [(name, wrong) for name, (_, _, wrongs) in VALUES.items() for wrong in wrongs]


def settings(
    directory: Path,
    environ: Mapping[str, str] | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
    dotenv: str | None = None,
    toml: str | None = None,
) -> Settings:
    for name, content in ((".env", dotenv), ("moongate.toml", toml)):
        (directory / name).unlink(missing_ok=True)
        if content is not None:
            (directory / name).write_text(content, "utf-8")
    return load(overrides or {}, environ=environ or {}, directory=directory)


def refusal(directory: Path, environ: Mapping[str, str] | None = None, **places: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        settings(directory, environ, **places)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()
    return caught.value


def message(directory: Path, environ: Mapping[str, str] | None = None, **places: Any) -> str:
    return str(refusal(directory, environ, **places))


def account(*lines: str, name: str = "team-a", upstream: str = "moonshot") -> str:
    return "\n".join(["[[accounts]]", f'name = "{name}"', f'upstream = "{upstream}"', *lines, ""])


# The table


def test_every_setting_of_the_module_stands_in_the_table_once() -> None:
    described = [value.name for value in vars(rows).values() if isinstance(value, Setting)]
    listed = [setting.name for setting in (*TABLE, *ACCOUNT, *MODEL)]
    assert sorted(described) == sorted(listed)
    assert len(set(BY_NAME)) == len(TABLE)


def test_every_setting_has_a_value_to_test_it_with() -> None:
    assert set(VALUES) == {setting.name for setting in PLAIN}


@pytest.mark.parametrize("setting", [*TABLE, *ACCOUNT, *MODEL], ids=lambda setting: setting.name)
def test_every_meaning_is_one_sentence(setting: Setting[object]) -> None:
    assert re.fullmatch(r"[A-Z][^\n|]*[.…]", setting.meaning)
    assert ". " not in setting.meaning


def test_the_table_says_which_settings_are_secret() -> None:
    assert [setting.name for setting in (*TABLE, *ACCOUNT) if setting.kind.secret] == [*SECRET, "credential"]


# Defaults


def test_without_any_setting_every_default_holds(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert found.accounts == ()
    assert found.models == ()
    assert found.callers.master_key is None
    assert found.callers.default_keys == found.callers.valid_keys == ()
    assert (found.callers.required, found.callers.tokens_accepted, found.callers.public_models) == (False, True, True)
    assert (found.listen.host, found.listen.port, found.listen.max_body) == ("127.0.0.1", 8000, 20 * 1024 * 1024)
    assert (found.listen.allowed_origins, found.listen.trusted_proxies) == (("*",), ())
    assert (found.deadlines.first_byte_stream, found.deadlines.first_byte_whole) == (60, 900)
    assert (found.deadlines.stall, found.deadlines.total, found.deadlines.heartbeat) == (120, 3600, 15)
    assert found.deadlines.retries == 3
    assert (found.log.level, found.log.format, found.log.debug) == ("INFO", "auto", False)
    assert found.home == tmp_path / ".moongate"
    assert found.user_agent == f"moongate/{__version__}"
    assert found.reload is False


def test_settings_do_not_change(tmp_path: Path) -> None:
    found = settings(tmp_path)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.listen.port = 1  # type: ignore[misc]  # the checker refuses it too


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
        accounts = {name: KEY_A for name in ("KIMI_API_KEY", "KIMI_CODE_API_KEY") if name != setting.name}
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


# How a mistake is told


def test_a_wrong_port_names_the_setting_what_was_read_and_what_is_allowed(tmp_path: Path) -> None:
    told = "must be a port from 0 to 65535"
    wrong = refusal(tmp_path, {"API_PORT": "99999"})
    assert (wrong.setting, str(wrong)) == ("API_PORT", f"API_PORT=99999 (environment): {told}")
    assert message(tmp_path, {"PORT": "x"}) == f"PORT=x (environment): {told}"
    assert message(tmp_path, dotenv="API_PORT=x") == f"API_PORT=x (.env): {told}"
    assert message(tmp_path, toml='api_port = "x"') == f"api_port=x (moongate.toml): {told}"
    assert message(tmp_path, overrides={"api_port": 70000}) == f"API_PORT=70000 (command line): {told}"


@pytest.mark.parametrize(("name", "wrong"), WRONG, ids=lambda value: value[:20])
def test_a_wrong_value_is_told_with_its_name_its_place_and_what_is_allowed(
    tmp_path: Path, name: str, wrong: str
) -> None:
    error = refusal(tmp_path, {name: wrong})
    assert error.setting == name
    assert str(error).startswith(f"{name}=")
    assert str(error).endswith(f" (environment): must be {BY_NAME[name].kind.allowed}")
    assert len(str(error)) < 400


def test_of_a_wrong_list_the_wrong_piece_is_shown(tmp_path: Path) -> None:
    told = message(tmp_path, {"ALLOWED_ORIGINS": "https://example.com, example.org"})
    assert told.startswith("ALLOWED_ORIGINS=example.org (environment): must be a comma-separated list of origins")


def test_a_long_value_is_cut_and_a_broken_line_stays_one(tmp_path: Path) -> None:
    told = message(tmp_path, {"LOG_LEVEL": "a\nb\x1b[31m\u2028" + "c" * 1000})
    assert told.startswith("LOG_LEVEL=a\\nb\\x1b[31m\\u2028ccc")
    assert len(told) < 200


def test_a_value_that_is_no_text_at_all_can_still_be_told(tmp_path: Path) -> None:
    assert message(tmp_path, {"LOG_LEVEL": "\udcff"}).startswith("LOG_LEVEL=\\udcff (environment)")


# Kinds of value


@pytest.mark.parametrize(
    ("written", "read"),
    [
        *((written, True) for written in ("true", "YES", "On", "1")),
        *((written, False) for written in ("false", "No", "OFF", "0")),
    ],
)
def test_yes_and_no_may_be_written_in_many_ways(tmp_path: Path, written: str, read: bool) -> None:
    assert settings(tmp_path, {"REQUIRE_API_KEY": written}).callers.required is read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1", 1),
        ("512k", 512 * 1024),
        ("512K", 512 * 1024),
        ("20MiB", 20 * 1024**2),
        ("20 mib", 20 * 1024**2),
        ("3m", 3 * 1024**2),
        ("1g", 1024**3),
        ("5kB", 5000),
        ("2MB", 2_000_000),
        ("100b", 100),
    ],
)
def test_sizes_may_be_written_with_a_unit(tmp_path: Path, written: str, read: int) -> None:
    assert settings(tmp_path, {"MOONGATE_MAX_BODY": written}).listen.max_body == read


@pytest.mark.parametrize("off", ["0", "off", "OFF", "0.0"])
def test_some_times_may_be_without_limit(tmp_path: Path, off: str) -> None:
    found = settings(tmp_path, {"MOONGATE_TOTAL_TIMEOUT": off, "MOONGATE_HEARTBEAT": off}).deadlines
    assert (found.total, found.heartbeat) == (None, None)


def test_one_request_timeout_holds_for_streams_and_whole_replies(tmp_path: Path) -> None:
    found = settings(tmp_path, {"REQUEST_TIMEOUT": "7.5"}).deadlines
    assert (found.first_byte_stream, found.first_byte_whole) == (7.5, 7.5)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("*", ("*",)),
        (" https://A.example , https://a.example/ ,,http://[::1]:3000", ("https://a.example", "http://[::1]:3000")),
        ("app://moon, chrome-extension://abc", ("app://moon", "chrome-extension://abc")),
        (",", ()),
    ],
)
def test_origins_are_listed_as_browsers_send_them(tmp_path: Path, written: str, read: tuple[str, ...]) -> None:
    assert settings(tmp_path, {"ALLOWED_ORIGINS": written}).listen.allowed_origins == read


def test_proxies_are_addresses_or_ranges(tmp_path: Path) -> None:
    found = settings(tmp_path, {"TRUSTED_PROXIES": "127.0.0.1, 10.1.2.3/8, fd00::/8, 127.0.0.1"}).listen.trusted_proxies
    assert found == tuple(map(ip_network, ("127.0.0.1/32", "10.0.0.0/8", "fd00::/8")))


@pytest.mark.parametrize(
    ("written", "read"), [("::1", "::1"), ("[::]", "::"), ("gate.example.com", "gate.example.com")]
)
def test_it_listens_on_a_name_or_an_address(tmp_path: Path, written: str, read: str) -> None:
    assert settings(tmp_path, {"API_HOST": written}).listen.host == read


def test_only_development_means_reload(tmp_path: Path) -> None:
    assert [settings(tmp_path, {"NODE_ENV": env}).reload for env in ("development", "production", "dev")] == [
        True,
        False,
        False,
    ]


def test_home_is_found_from_the_directory(tmp_path: Path) -> None:
    assert settings(tmp_path, {"MOONGATE_HOME": "state"}).home == tmp_path / "state"
    assert settings(tmp_path, {"MOONGATE_HOME": "/srv/state"}).home == Path("/srv/state")
    assert settings(tmp_path, {"MOONGATE_HOME": "~/state"}).home == Path.home() / "state"


# Accounts of the environment


def test_each_key_of_the_environment_is_an_account(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        {
            "KIMI_API_KEY": f" Bearer {KEY_A},, bearer  {KEY_B} ,{KEY_A}",
            "KIMI_CODE_API_KEY": "sk-kimi-example",
            "KIMI_BASE_URL": "https://api.moonshot.ai/v1/",
        },
    )
    assert found.accounts == (
        AccountSetting(
            name="moonshot-1", upstream="moonshot", credential=Sealed(KEY_A), base_url="https://api.moonshot.ai/v1"
        ),
        AccountSetting(
            name="moonshot-2", upstream="moonshot", credential=Sealed(KEY_B), base_url="https://api.moonshot.ai/v1"
        ),
        AccountSetting(
            name="kimi-code-1",
            upstream="kimi-code",
            credential=Sealed("sk-kimi-example"),
            base_url="https://api.kimi.com/coding/v1",
        ),
    )


@pytest.mark.parametrize(
    "written", ["https://k.example/coding", "https://k.example/coding/v1", "https://k.example/coding/v1/"]
)
def test_the_base_url_of_kimi_code_always_ends_in_v1(tmp_path: Path, written: str) -> None:
    found = settings(
        tmp_path,
        {"KIMI_CODE_API_KEY": KEY_A, "KIMI_API_BASE_URL": written},
        toml=account(f'credential = "{KEY_B}"', f'base_url = "{written}"', upstream="kimi-code"),
    )
    assert [each.base_url for each in found.accounts] == ["https://k.example/coding/v1"] * 2


# Accounts of the file


def test_the_file_adds_accounts_after_those_of_the_environment(tmp_path: Path) -> None:
    toml = account(f'credential = "Bearer {KEY_A}"', "max_concurrency = 10", 'models = ["kimi-k3"]') + account(
        name="Demo", upstream="simulator"
    )
    first, team, demo = settings(tmp_path, {"KIMI_API_KEY": KEY_B}, toml=toml).accounts
    assert first.name == "moonshot-1"
    assert team == AccountSetting(
        name="team-a",
        upstream="moonshot",
        credential=Sealed(KEY_A),
        base_url="https://api.moonshot.cn/v1",
        max_concurrency=10,
        models=("kimi-k3",),
    )
    assert (demo.name, demo.upstream, demo.base_url, demo.max_concurrency, demo.models) == (
        "demo",
        "simulator",
        None,
        None,
        (),
    )


def test_a_base_url_left_out_is_the_one_set_for_the_upstream(tmp_path: Path) -> None:
    toml = 'kimi_base_url = "https://m.example"\n' + account(f'credential = "{KEY_A}"')
    assert settings(tmp_path, toml=toml).accounts[0].base_url == "https://m.example"


def test_a_credential_may_stand_in_a_variable(tmp_path: Path) -> None:
    toml = account('credential = "env:TEAM_A_KEY"')
    assert settings(tmp_path, {"TEAM_A_KEY": KEY_A}, toml=toml).accounts[0].credential == Sealed(KEY_A)
    blank = settings(tmp_path, {"TEAM_A_KEY": ""}, dotenv=f"TEAM_A_KEY={KEY_B}", toml=toml)
    assert blank.accounts[0].credential == Sealed(KEY_B)


def test_a_credential_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "钥匙").write_text(f"{KEY_A}\n")
    assert settings(tmp_path, toml=account('credential = "file:钥匙"')).accounts[0].credential == Sealed(KEY_A)
    absolute = account(f'credential = "file:{tmp_path / "钥匙"}"')
    assert settings(tmp_path, toml=absolute).accounts[0].credential == Sealed(KEY_A)


@pytest.mark.parametrize(
    ("credential", "told"),
    [
        ("env:TEAM_A_KEY", "=env:TEAM_A_KEY (moongate.toml): this variable is not set"),
        ("env:BLANK", "=env:BLANK (moongate.toml): this variable is not set"),
        ("env:", "=… (moongate.toml): env: must be followed by the name of a variable"),
        ("env:a key by mistake", "=…take (moongate.toml): env: must be followed by the name of a variable"),
        ("env:WRONG", "=…nnnü (variable WRONG): must be a key in printable ASCII characters"),
        ("file:gone", "=file:gone (moongate.toml): there is no such file"),
        ("file:empty", "=file:empty (moongate.toml): this file is empty"),
        ("file:", "=file: (moongate.toml): file: must be followed by a path"),
        ("file:a\\u0000", "=file:a\\x00 (moongate.toml): file: must be followed by a path"),
        ("file:.", "=file:. (moongate.toml): cannot be read: Is a directory"),
        ("file:latin", "=file:latin (moongate.toml): is not UTF-8 text"),
        ("file:lines", "=…ccc2 (file lines): must be a key in printable ASCII characters"),
        ("", " (moongate.toml): is missing and must be env:NAME, file:PATH, or a key in printable ASCII characters"),
        ("a\\nb", "=… (moongate.toml): must be a key in printable ASCII characters"),
    ],
)
def test_a_credential_that_cannot_be_had_is_told_with_its_account(tmp_path: Path, credential: str, told: str) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "latin").write_bytes(b"\xe9")
    (tmp_path / "lines").write_text("aaaaaaa1\nbbbbbbb\nccccccc2")
    environ = {"BLANK": "", "WRONG": "annnnnnnnnnnnnnnü"}
    toml = account(f'credential = "{credential}"')
    wrong = message(tmp_path, environ, toml=toml).replace(f"{tmp_path}/", "")
    assert wrong == f"accounts[team-a].credential{told}"


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        (account('credential = "x"', name="a b"), "accounts[a b].name=a b (moongate.toml): must be 1 to 64 of"),
        (account('credential = "x"', name="a" * 65), "must be 1 to 64 of"),
        ('[[accounts]]\nupstream = "moonshot"', "accounts[#1].name (moongate.toml): is missing and must be 1 to 64 of"),
        (account(upstream="simulator") + "[[accounts]]\nname = 5", "accounts[5].name=5 (moongate.toml): must be"),
        (
            account('credential = "x"', upstream="kimi-web"),
            "accounts[team-a].upstream=kimi-web (moongate.toml): must be one of moonshot, kimi-code, simulator",
        ),
        ('[[accounts]]\nname = "a"', "accounts[a].upstream (moongate.toml): is missing and must be one of moonshot,"),
        (account(), "accounts[team-a].credential (moongate.toml): is missing and must be env:NAME"),
        (account("credential = 5"), "accounts[team-a].credential=… (moongate.toml): must be env:NAME"),
        (
            account('credential = "x"', "max_concurrency = 0"),
            "accounts[team-a].max_concurrency=0 (moongate.toml): must be a whole number above 0",
        ),
        (
            account('credential = "x"', "models = []"),
            "accounts[team-a].models=[] (moongate.toml): must be a list of at",
        ),
        (
            account('credential = "x"', 'models = ["a b"]'),
            "accounts[team-a].models=a b (moongate.toml): must be a list",
        ),
        (account('credential = "x"', 'base_url = "x"'), "accounts[team-a].base_url=x (moongate.toml): must be an http"),
        (
            account('credential = "x"') + account('credential = "y"', name="TEAM-A"),
            "accounts[TEAM-A].name=TEAM-A (moongate.toml): is the name of another account",
        ),
    ],
)
def test_a_wrong_account_is_told_by_its_name_or_else_by_its_place(tmp_path: Path, toml: str, told: str) -> None:
    assert told in message(tmp_path, toml=toml)


def test_an_account_of_the_file_may_not_take_the_name_of_one_of_the_environment(tmp_path: Path) -> None:
    toml = account('credential = "x"', name="moonshot-1")
    assert settings(tmp_path, toml=toml).accounts[0].name == "moonshot-1"
    told = message(tmp_path, {"KIMI_API_KEY": KEY_A}, toml=toml)
    assert told == "accounts[moonshot-1].name=moonshot-1 (moongate.toml): is the name of another account"


# Models


def test_a_model_has_a_name_and_routes_in_order(tmp_path: Path) -> None:
    toml = '[[models]]\nname = "k2"\nroutes = ["kimi-code/kimi-for-coding", "moonshot/a/b"]'
    (found,) = settings(tmp_path, toml=toml).models
    assert (found.name, found.routes) == ("k2", ("kimi-code/kimi-for-coding", "moonshot/a/b"))


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ('routes = ["moonshot/x"]', "models[#1].name (moongate.toml): is missing and must be a name"),
        ('name = "k2"', "models[k2].routes (moongate.toml): is missing and must be a list of at least one"),
        ('name = "k2"\nroutes = []', "models[k2].routes=[] (moongate.toml): must be a list of at least one"),
        ('name = "k2"\nroutes = ["k3"]', "models[k2].routes=k3 (moongate.toml): must be a list"),
        ('name = "k2"\nroutes = ["moonshot/"]', "models[k2].routes=moonshot/ (moongate.toml): must be a list"),
        ('name = "k2"\nroutes = ["moonshot/x", "kimi-web/k2"]', "models[k2].routes=kimi-web/k2 (moongate.toml): must"),
        (
            'name = "k2"\nroutes = ["moonshot/x"]\n[[models]]\nname = "k2"\nroutes = ["moonshot/y"]',
            "models[k2].name=k2 (moongate.toml): is the name of another model",
        ),
    ],
)
def test_a_wrong_model_is_told_by_its_name_or_else_by_its_place(tmp_path: Path, toml: str, told: str) -> None:
    assert message(tmp_path, toml=f"[[models]]\n{toml}").startswith(told)


# Callers


@pytest.mark.parametrize(
    ("environ", "accepted"),
    [
        ({}, True),
        ({"KIMI_API_KEY": KEY_A}, False),
        ({"KIMI_API_KEY": KEY_A, "DEFAULT_AUTHKEYS": "k"}, True),
        ({"KIMI_API_KEY": KEY_A, "CALLER_TOKENS": "on"}, True),
        ({"DEFAULT_AUTHKEYS": "k", "CALLER_TOKENS": "off"}, False),
        ({"CALLER_TOKENS": "off"}, False),
    ],
)
def test_callers_may_bring_their_own_tokens_unless_accounts_are_configured(
    tmp_path: Path, environ: dict[str, str], accepted: bool
) -> None:
    assert settings(tmp_path, environ).callers.tokens_accepted is accepted


def test_keys_of_callers_are_sealed_and_counted_once(tmp_path: Path) -> None:
    found = settings(
        tmp_path, {"VALID_API_KEYS": f"{KEY_A}, {KEY_B},{KEY_A},", "DEFAULT_AUTHKEYS": "one two", "API_MASTER_KEY": "m"}
    ).callers
    assert found.valid_keys == (Sealed(KEY_A), Sealed(KEY_B))
    assert (found.default_keys, found.master_key) == ((Sealed("one two"),), Sealed("m"))


# Secrets

ALPHABET = "".join(map(chr, range(ord("a"), ord("z") + 1))) + "ABCXYZ0189_"
unhurried = hypothesis.settings(deadline=None)
secrets = st.text(ALPHABET, min_size=16, max_size=60).map(lambda text: f"Zq{text}")


def hidden_in(error: SettingsError, secret: str) -> bool:
    told = [str(error), repr(error), *map(str, error.args), *traceback.format_exception(error)]
    return not any(secret in each or secret[:-4] in each for each in told)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("settings")


@unhurried
@given(secret=secrets, holder=st.sampled_from(SECRET), wrong=st.sampled_from(WRONG))
def test_no_secret_stands_in_the_error_of_another_setting(
    folder: Path, secret: str, holder: str, wrong: tuple[str, str]
) -> None:
    name, value = wrong
    assert hidden_in(refusal(folder, {holder: secret} | {name: value}), secret)


@unhurried
@given(
    secret=secrets,
    holder=st.sampled_from(SECRET),
    place=st.sampled_from(["environ", "dotenv", "toml"]),
    spoilt=st.sampled_from(["ü{}", "{}\u7f8e", "\u7f8e,{}", "{},\u7f8e,{}"]),
)
def test_no_secret_stands_in_the_error_of_its_own_setting(
    folder: Path, secret: str, holder: str, place: str, spoilt: str
) -> None:
    value = spoilt.format(secret, secret)
    written: dict[str, dict[str, Any]] = {
        "environ": {"environ": {holder: value}},
        "dotenv": {"dotenv": f"{holder}='{value}'\n"},
        "toml": {"toml": f'{holder.lower()} = "{value}"\n'},
    }
    assert hidden_in(refusal(folder, **written[place]), secret)


@pytest.mark.parametrize(
    "toml",
    [
        'kimi_api_key = "{0}',
        'kimi_api_kee = "{0}"',
        'kimi_api_key = {{ a = "{0}" }}',
        'kimi_api_key = ["a", ["{0}"]]',
        '[[accounts]]\nname = "a"\nupstream = "web"\ncredential = "{0}"',
        '[[accounts]]\nname = "a"\nupstream = "moonshot"\ncredential = ["{0}"]',
        '[[accounts]]\nname = "a"\nupstream = "moonshot"\ncredential = "{0}é"',
        '[[accounts]]\nname = "a"\nupstream = "moonshot"\ncredential = "env:{0}"',
        '[[accounts]]\nname = "a"\nupstream = "moonshot"\ncredentials = "{0}"',
        '[accounts]\nname = "a"\nupstream = "moonshot"\ncredential = "{0}"',
        'accounts = ["{0}"]',
        'kimi_base_url = "https://{0}@example.com"',
        'kimi_base_url = "https://user:{0}/x@example.com"',
        'kimi_base_url = "user:{0}@example.com"',
        'kimi_base_url = "https://example.com?key={0}"',
        'kimi_base_url = "https://example.com#{0}"',
        'api_port = "sk-{0}"',
        'api_host = "Bearer {0}"',
    ],
)
def test_no_secret_stands_in_an_error_of_the_file(folder: Path, toml: str) -> None:
    @unhurried
    @given(secret=secrets)
    def holds(secret: str) -> None:
        assert hidden_in(refusal(folder, toml=toml.format(secret)), secret)

    holds()


@unhurried
@given(secret=secrets)
def test_no_secret_stands_in_the_repr_of_the_settings(folder: Path, secret: str) -> None:
    toml = account(f'credential = "{secret}"') + account('credential = "env:OTHER"', name="team-b")
    found = settings(folder, {**dict.fromkeys(SECRET, secret), "OTHER": secret}, toml=toml)
    for told in (repr(found), str(found), f"{found}", repr(dataclasses.asdict(found))):
        assert secret not in told
        assert f"…{secret[-4:]}" in told


@pytest.mark.parametrize(
    ("value", "told"),
    [("", "…"), ("short", "…"), ("twelve-chars", "…"), ("thirteen-char", "…char"), ("a" * 20 + "\nabc", "…")],
)
def test_a_sealed_value_shows_four_characters_of_a_long_secret_at_most(value: str, told: str) -> None:
    sealed = Sealed(value)
    assert repr(sealed) == str(sealed) == f"{sealed}" == told
    assert sealed.reveal() == value


def test_sealed_values_are_equal_by_value_and_frozen() -> None:
    sealed = Sealed("钥匙\udcff")
    assert sealed == Sealed("钥匙\udcff")
    assert sealed != Sealed("other")
    assert sealed != "钥匙\udcff"
    assert len({sealed, Sealed("钥匙\udcff"), Sealed("x")}) == 2
    assert copy.deepcopy(sealed) == pickle.loads(pickle.dumps(sealed)) == sealed
    with pytest.raises(AttributeError):
        sealed._value = "x"
    with pytest.raises(AttributeError):
        del sealed._value


# Documents


def described(setting: Setting[object]) -> str:
    names = ", ".join(f"`{name}`" for name in setting.names)
    default = f"`{setting.default}`" if setting.default else setting.unset
    return f"| {names} | {default} | {setting.kind.allowed} | {setting.meaning} |"


def document(name: str) -> str:
    return (REPOSITORY / name).read_text("utf-8")


def test_the_document_describes_every_setting_in_the_words_of_the_table_and_no_other() -> None:
    found = [line for line in document("docs/settings.md").splitlines() if line.startswith("| `")]
    assert found == [described(setting) for setting in (*TABLE, *ACCOUNT, *MODEL)]


def test_the_document_mentions_no_unknown_name() -> None:
    mentioned = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", document("docs/settings.md")))
    assert mentioned - {"TEAM_A_KEY"} <= set(BY_NAME)


def test_the_document_has_every_section_with_a_line_in_chinese() -> None:
    parts = document("docs/settings.md").split("\n## ")[1:]
    assert [part.splitlines()[0] for part in parts] == [*(section.title for section in SECTIONS), "Only in the file"]
    assert all("\n中文：" in part for part in parts)


def test_the_environment_example_holds_every_name_with_its_default_and_no_other() -> None:
    found = re.findall(r"^# ([A-Z_]+)=(.*)$", document(".env.example"), re.MULTILINE)
    assert found == [(setting.name, setting.default or "") for setting in TABLE]


def test_the_file_example_holds_every_name_with_its_default_and_no_other() -> None:
    ours = document("moongate.example.toml").split("# [[accounts]]")[0]
    found = tomllib.loads("\n".join(re.findall(r"^# ([a-z_]+ = .*)$", ours, re.MULTILINE)))
    assert list(found) == [setting.name.lower() for setting in PLAIN]
    for setting in PLAIN:
        value = found[setting.name.lower()] or None  # an empty text or list says as little as no default
        assert setting.kind.parse(value or setting.default) == setting.kind.parse(setting.default)
    assert "MOONGATE_CONFIG=./moongate.toml" in ours


@pytest.mark.parametrize("name", [".env.example", "moongate.example.toml"])
@pytest.mark.parametrize("setting", TABLE, ids=lambda setting: setting.name)
def test_the_examples_tell_what_each_setting_means(name: str, setting: Setting[object]) -> None:
    assert f"# {setting.meaning}" in document(name)
    assert setting.default or f"Default: {setting.unset}." in document(name)
    assert all(re.search(rf"\b{each}\b", document(name), re.IGNORECASE) for each in setting.names)


def test_the_file_example_shows_every_key_of_accounts_and_models() -> None:
    tables = document("moongate.example.toml").split("# ---- Accounts and models")[1]
    shown = set(re.findall(r"^# ([a-z_]+) = ", tables, re.MULTILINE))
    assert shown == {setting.name for setting in (*ACCOUNT, *MODEL)}


def test_the_examples_load_as_they_are_and_change_nothing(tmp_path: Path) -> None:
    examples: dict[str, Any] = {"dotenv": document(".env.example"), "toml": document("moongate.example.toml")}
    assert settings(tmp_path, **examples) == settings(tmp_path)


def test_the_examples_load_with_every_line_taken_in_and_then_say_the_defaults(tmp_path: Path) -> None:
    dotenv = re.sub(r"^# ([A-Z_]+=.*)$", r"\1", document(".env.example"), flags=re.MULTILINE)
    toml = re.sub(r"^# ([a-z_]+ = .*|\[\[.*\]\])$", r"\1", document("moongate.example.toml"), flags=re.MULTILINE)
    found = settings(tmp_path, {"TEAM_A_KEY": KEY_A, "CALLER_TOKENS": "on"}, dotenv=dotenv, toml=toml)
    assert [each.name for each in found.accounts] == ["team-a"]
    assert [each.name for each in found.models] == ["k2"]
    assert dataclasses.replace(found, accounts=(), models=()) == settings(tmp_path)
