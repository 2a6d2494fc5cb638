"""Credentials become accounts; names become routes; callers have keys."""

from pathlib import Path

import pytest

from given_settings import KEY_A, KEY_B, account, message, settings
from moongate.core.sealed import Sealed
from moongate.settings import AccountSetting
from moongate.settings.kinds import UPSTREAMS_ALLOWED
from moongate.settings.table import ACCOUNT_CREDENTIAL

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
    team_a = account(
        f'credential = "Bearer {KEY_A}"', "max_concurrency = 10", "rpm = 60", "tpm = 100000", 'models = ["kimi-k3"]'
    )
    toml = team_a + account(name="Demo", upstream="simulator")
    first, team, demo = settings(tmp_path, {"KIMI_API_KEY": KEY_B}, toml=toml).accounts
    assert first.name == "moonshot-1"
    assert team == AccountSetting(
        name="team-a",
        upstream="moonshot",
        credential=Sealed(KEY_A),
        base_url="https://api.moonshot.cn/v1",
        max_concurrency=10,
        rpm=60,
        tpm=100000,
        models=("kimi-k3",),
    )
    assert demo == AccountSetting(name="demo", upstream="simulator", credential=demo.credential, base_url=None)


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
        ("", f" (moongate.toml): is missing and must be {ACCOUNT_CREDENTIAL.kind.allowed}"),
        ("login", "=… (moongate.toml): login is only for accounts of upstream kimi-code"),
        ("login:mine", "=… (moongate.toml): login is only for accounts of upstream kimi-code"),
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
            account('credential = "x"', upstream="kimi-app"),
            f"accounts[team-a].upstream=kimi-app (moongate.toml): must be {UPSTREAMS_ALLOWED}",
        ),
        ('[[accounts]]\nname = "a"', "accounts[a].upstream (moongate.toml): is missing and must be one of moonshot,"),
        (account(), "accounts[team-a].credential (moongate.toml): is missing and must be env:NAME"),
        (account("credential = 5"), "accounts[team-a].credential=… (moongate.toml): must be env:NAME"),
        (
            account('credential = "x"', "max_concurrency = 0"),
            "accounts[team-a].max_concurrency=0 (moongate.toml): must be a whole number above 0",
        ),
        (
            account('credential = "x"', "rpm = 0"),
            "accounts[team-a].rpm=0 (moongate.toml): must be a whole number above 0",
        ),
        (account('credential = "x"', 'tpm = "1k"'), "accounts[team-a].tpm=1k (moongate.toml): must be a whole number"),
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
        ('name = "k2"\nroutes = ["a b/x"]', "models[k2].routes=a b/x (moongate.toml): must be a list"),
        (
            'name = "k2"\nroutes = ["moonshot/x", "kimi-app/k2"]',
            "models[k2].routes=kimi-app/k2 (moongate.toml): there is no upstream, provider or account kimi-app",
        ),
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
