"""The documents describe every setting in the words of the table, and no other."""

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from given_settings import BY_NAME, KEY_A, PLAIN, REPOSITORY, settings
from moongate.settings import ACCOUNT, MODEL, SECTIONS, TABLE, Setting

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
    assert mentioned - {"TEAM_A_KEY", "DEEPSEEK_API_KEY"} <= set(BY_NAME)


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


@pytest.mark.parametrize(
    ("name", "accounts", "model"),
    [
        ("README.md", ["team-a", "deepseek", "my-server"], "best"),
        ("docs/settings.md", ["team-a", "deepseek-1", "my-server"], "k2"),
    ],
)
def test_what_the_documents_show_of_the_file_works_as_pasted(
    tmp_path: Path, name: str, accounts: list[str], model: str
) -> None:
    shown = "".join(re.findall(r"^```toml\n(.*?)^```$", document(name), re.MULTILINE | re.DOTALL))
    found = settings(tmp_path, {"TEAM_A_KEY": KEY_A, "DEEPSEEK_API_KEY": KEY_A}, toml=shown)
    assert [each.name for each in found.accounts] == accounts
    assert [each.name for each in found.models] == [model]


def test_the_examples_load_with_every_line_taken_in_and_then_say_the_defaults(tmp_path: Path) -> None:
    dotenv = re.sub(r"^# ([A-Z_]+=.*)$", r"\1", document(".env.example"), flags=re.MULTILINE)
    toml = re.sub(r"^# ([a-z_]+ = .*|\[\[.*\]\])$", r"\1", document("moongate.example.toml"), flags=re.MULTILINE)
    given = {"TEAM_A_KEY": KEY_A, "DEEPSEEK_API_KEY": KEY_A, "ADA_WEB_TOKEN": KEY_A, "CALLER_TOKENS": "on"}
    found = settings(tmp_path, given, dotenv=dotenv, toml=toml)
    assert [each.name for each in found.accounts] == ["team-a", "deepseek-1", "ada"]
    assert [each.name for each in found.models] == ["k2"]
    assert dataclasses.replace(found, accounts=(), models=()) == settings(tmp_path)
