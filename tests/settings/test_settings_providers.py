"""Any server that speaks OpenAI's chat interface is an account, and routes may lead to it, or to one account."""

from pathlib import Path

import pytest

from given_settings import KEY_A, account, message, settings
from moongate.core.sealed import Sealed
from moongate.settings import AccountSetting

BASE = 'base_url = "https://p.example/v1/"'


def provider(*lines: str, name: str = "deepseek") -> str:
    return account(BASE, *lines, name=name, upstream="openai")


def routes(*written: str) -> str:
    return f'[[models]]\nname = "mine"\nroutes = {list(written)}\n'


def test_a_provider_is_called_by_its_accounts_name_unless_it_has_one(tmp_path: Path) -> None:
    toml = provider(f'credential = "{KEY_A}"') + provider('provider = "DeepSeek"', name="second")
    first, second = settings(tmp_path, toml=toml).accounts
    assert first == AccountSetting(
        name="deepseek",
        upstream="openai",
        credential=Sealed(KEY_A),
        base_url="https://p.example/v1",
        provider="deepseek",
    )
    assert second.provider == "deepseek"


def test_a_server_of_ones_own_needs_no_credential(tmp_path: Path) -> None:
    assert settings(tmp_path, toml=provider()).accounts[0].credential == Sealed("")
    assert settings(tmp_path, toml=provider('credential = ""')).accounts[0].credential == Sealed("")


def test_openais_own_server_may_be_called_openai(tmp_path: Path) -> None:
    assert settings(tmp_path, toml=provider(name="openai")).accounts[0].provider == "openai"


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        (
            account(name="p", upstream="openai"),
            "accounts[p].base_url (moongate.toml): is missing and must be an http:// or https:// address",
        ),
        (
            provider('provider = "kimi-code"'),
            "accounts[deepseek].provider=kimi-code (moongate.toml): is the name of another upstream",
        ),
        (
            provider(name="moonshot"),
            "accounts[moonshot].provider (moongate.toml): is missing, and cannot be the account's name, which is",
        ),
        (
            provider('provider = "a b"'),
            "accounts[deepseek].provider=a b (moongate.toml): must be 1 to 64 of the characters a-z",
        ),
        (
            account('credential = "x"', 'provider = "p"'),
            "accounts[team-a].provider=p (moongate.toml): is only for accounts of upstream openai",
        ),
        (
            provider('credential = "login"'),
            "accounts[deepseek].credential=… (moongate.toml): login is only for accounts of upstream kimi-code",
        ),
    ],
)
def test_a_wrong_provider_is_told_in_one_line(tmp_path: Path, toml: str, told: str) -> None:
    assert message(tmp_path, toml=toml).startswith(told)


# Routes


def test_a_route_leads_to_an_upstream_a_provider_or_one_account(tmp_path: Path) -> None:
    written = ("moonshot/kimi-k3", "deepseek/a/b", "second/x", "moonshot-1/kimi-k3", "openai/x")
    toml = provider('provider = "deepseek"', name="second") + routes(*written)
    found = settings(tmp_path, {"KIMI_API_KEY": KEY_A}, toml=toml)
    assert found.models[0].routes == written


def test_the_names_before_the_slash_may_be_in_any_case(tmp_path: Path) -> None:
    found = settings(tmp_path, toml=provider(name="DeepSeek") + routes("DeepSeek/DeepSeek-V3"))
    assert found.models[0].routes == ("deepseek/DeepSeek-V3",)


def test_a_route_to_nobody_is_told_with_all_there_are(tmp_path: Path) -> None:
    toml = provider('provider = "deepseek"', name="second") + routes("moonshot/kimi-k3", "deepsek/x")
    assert message(tmp_path, {"KIMI_API_KEY": KEY_A}, toml=toml) == (
        "models[mine].routes=deepsek/x (moongate.toml): there is no upstream, provider or account deepsek; there are "
        "moonshot, kimi-code, kimi-web, kimi-site, openai, simulator, moonshot-1, deepseek, second"
    )
