"""Every setting stands in one table, with a default that holds."""

import dataclasses
import re
from pathlib import Path

import pytest

from given_settings import BY_NAME, PLAIN, SECRET, VALUES, settings
from moongate import __version__
from moongate.settings import ACCOUNT, MODEL, TABLE, Setting
from moongate.settings import table as rows

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
    assert (found.deadlines.queue, found.deadlines.retries, found.buffered) == (30, 3, False)
    assert (found.log.level, found.log.format, found.log.debug) == ("INFO", "auto", False)
    assert (found.home, found.secret) == (tmp_path / ".moongate", None)
    assert found.code_oauth_host == "https://auth.kimi.com"
    assert found.user_agent == f"moongate/{__version__}"
    assert found.reload is False


def test_settings_do_not_change(tmp_path: Path) -> None:
    found = settings(tmp_path)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.listen.port = 1  # type: ignore[misc]  # the checker refuses it too
