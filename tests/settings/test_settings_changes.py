"""Which files make the settings, and which settings a running gateway keeps when they change."""

from pathlib import Path

import pytest

from given_settings import KEY_A, PLAIN, VALUES, account, settings
from moongate.settings import needs_restart, while_running

KEPT = (
    *("API_HOST", "API_PORT", "MOONGATE_LOG_FORMAT", "MOONGATE_HOME", "MOONGATE_SECRET"),
    *("KIMI_CODE_OAUTH_HOST", "USER_AGENT", "KIMI_WEB_AUTH_URL", "KIMI_SITE_CLOUDSCRAPER", "MOONGATE_DATABASE_URL"),
    "NODE_ENV",
)


@pytest.mark.parametrize("name", [setting.name for setting in PLAIN])
def test_a_changed_setting_is_named_if_it_holds_from_the_start_only(tmp_path: Path, name: str) -> None:
    first, second, _ = VALUES[name]
    old, new = settings(tmp_path, {name: first}), settings(tmp_path, {name: second})
    assert needs_restart(old, new) == ((name,) if name in KEPT else ())
    assert needs_restart(old, old) == ()


def test_all_changed_settings_are_named(tmp_path: Path) -> None:
    old, new = ({name: VALUES[name][place] for name in KEPT} for place in (0, 1))
    assert needs_restart(settings(tmp_path, old), settings(tmp_path, new)) == KEPT


def test_the_files_that_make_the_settings_are_known_whether_they_exist_or_not(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY_A)
    toml = "".join(account('credential = "file:key"', name=name) for name in ("a", "b"))
    home = {"MOONGATE_HOME": "state"}
    here = (tmp_path / ".env", tmp_path / "moongate.toml", tmp_path / "state" / "credentials")
    assert settings(tmp_path, home).sources == here
    assert settings(tmp_path, home, toml=toml).sources == (*here, tmp_path / "key")


def test_a_settings_file_of_another_name_is_known(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text("")
    found = settings(tmp_path, {"MOONGATE_CONFIG": "gate.toml"})
    assert found.sources[1] == tmp_path / "gate.toml"


def test_a_running_gateway_keeps_what_needs_a_start_and_takes_the_rest(tmp_path: Path) -> None:
    first, second = ({setting.name: VALUES[setting.name][place] for setting in PLAIN} for place in (0, 1))
    old, new = settings(tmp_path, first), settings(tmp_path, second)
    taken = while_running(old, new)
    assert needs_restart(old, taken) == ()
    assert needs_restart(new, taken) == KEPT
    assert (taken.deadlines, taken.callers, taken.accounts) == (new.deadlines, new.callers, new.accounts)
