"""Logins kept in the home are accounts of Kimi Code, named in the file or by themselves."""

from pathlib import Path

import pytest

from given_settings import KEY_A, account, message, settings
from moongate.settings import AccountSetting, Settings


def keep(directory: Path, *names: str) -> None:
    folder = directory / ".moongate" / "credentials"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("{}")


def logins(found: Settings) -> list[tuple[str, str | None]]:
    return [(each.name, each.login) for each in found.accounts]


@pytest.mark.parametrize(
    ("credential", "login"), [("login", "team-a"), ("login:mine", "mine"), ("login: Mine ", "mine")]
)
def test_an_account_may_use_a_login(tmp_path: Path, credential: str, login: str) -> None:
    toml = account(f'credential = "{credential}"', upstream="kimi-code")
    (found,) = settings(tmp_path, toml=toml).accounts
    assert found == AccountSetting(
        name="team-a",
        upstream="kimi-code",
        credential=None,
        login=login,
        base_url="https://api.kimi.com/coding/v1",
    )


@pytest.mark.parametrize("credential", ["login:", "login:../mine", "login:a b", f"login:{'a' * 65}"])
def test_a_login_that_cannot_be_is_told_in_one_line(tmp_path: Path, credential: str) -> None:
    told = message(tmp_path, toml=account(f'credential = "{credential}"', upstream="kimi-code"))
    assert told.startswith("accounts[team-a].credential=…")
    assert told.endswith(
        "(moongate.toml): login: must be followed by 1 to 64 of the characters a-z, 0-9, dot, underscore and hyphen"
    )


def test_a_login_that_no_account_names_is_an_account_by_itself(tmp_path: Path) -> None:
    keep(tmp_path, "work.json", "home.json")
    found = settings(tmp_path, {"KIMI_API_KEY": KEY_A, "KIMI_API_BASE_URL": "https://k.example"})
    assert logins(found) == [("moonshot-1", None), ("home", "home"), ("work", "work")]
    assert found.accounts[1] == AccountSetting(
        name="home", upstream="kimi-code", credential=None, login="home", base_url="https://k.example/v1"
    )


def test_a_login_is_one_account_only(tmp_path: Path) -> None:
    keep(tmp_path, "work.json")
    toml = account('credential = "login:work"', upstream="kimi-code")
    assert logins(settings(tmp_path, toml=toml)) == [("team-a", "work")]


def test_a_login_whose_name_another_account_has_is_left_alone(tmp_path: Path) -> None:
    keep(tmp_path, "team-a.json")
    assert logins(settings(tmp_path, toml=account(f'credential = "{KEY_A}"'))) == [("team-a", None)]


def test_files_that_are_no_logins_are_left_alone(tmp_path: Path) -> None:
    keep(tmp_path, "Upper.json", "a b.json", ".half-written.json", "mine.lock", "mine.txt", "ok.json")
    assert logins(settings(tmp_path)) == [("ok", "ok")]


def test_logins_are_looked_for_in_the_home(tmp_path: Path) -> None:
    keep(tmp_path, "mine.json")
    assert settings(tmp_path, {"MOONGATE_HOME": "elsewhere"}).accounts == ()
    assert logins(settings(tmp_path, dotenv=f"MOONGATE_HOME={tmp_path / '.moongate'}")) == [("mine", "mine")]


def test_with_a_login_callers_are_not_expected_to_bring_tokens(tmp_path: Path) -> None:
    keep(tmp_path, "mine.json")
    assert settings(tmp_path).callers.tokens_accepted is False
