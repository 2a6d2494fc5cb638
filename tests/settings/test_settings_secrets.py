"""No secret is told by an error or a repr, wherever it stands."""

import copy
import dataclasses
import pickle
import traceback
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from given_settings import SECRET, WRONG, account, refusal, settings
from moongate.core.sealed import Sealed
from moongate.settings import SettingsError

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
    database = {"MOONGATE_DATABASE_URL": f"postgresql://db/{secret}"}
    found = settings(folder, {**dict.fromkeys(SECRET, secret), **database, "OTHER": secret}, toml=toml)
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
