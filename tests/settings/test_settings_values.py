"""What a value may be, and how a mistake in one is told."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from given_settings import BY_NAME, WRONG, message, refusal, settings

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


@pytest.mark.parametrize(("written", "read"), [("0", 0.0), ("off", 0.0), ("2.5", 2.5), ("", 30.0)])
def test_a_request_need_not_wait_for_an_account(tmp_path: Path, written: str, read: float) -> None:
    assert settings(tmp_path, {"MOONGATE_QUEUE_TIMEOUT": written}).deadlines.queue == read


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


@pytest.mark.parametrize("written", ["warn", "WARNING", "Warn"])
def test_warnings_may_be_asked_for_as_node_spells_them(tmp_path: Path, written: str) -> None:
    assert settings(tmp_path, {"LOG_LEVEL": written}).log.level == "WARNING"


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
