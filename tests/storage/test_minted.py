"""The key made at the first start: shown once, kept as a digest, good for every start after."""

import json
import stat
from pathlib import Path

import pytest

from moongate.policy.keys import KeyPolicy, Keyring
from moongate.storage.minted import FILE, MintedKeys, minted_keys


def keyring(minted: MintedKeys) -> Keyring:
    policy = KeyPolicy(minted=minted.digests, salt=minted.salt, required=True)
    return Keyring(policy, lambda _: False, b"owners")


def test_a_key_is_made_once_and_survives_a_restart(tmp_path: Path) -> None:
    made, key = minted_keys(tmp_path / "deep" / "home")
    again, nothing = minted_keys(tmp_path / "deep" / "home")
    assert key
    assert key.startswith("mg-")
    assert len(key) >= 40
    assert nothing is None
    assert again == made
    assert keyring(again).identify({"x-api-key": key}).name == "minted"


def test_two_homes_have_two_keys(tmp_path: Path) -> None:
    (first, one), (second, other) = minted_keys(tmp_path / "a"), minted_keys(tmp_path / "b")
    assert one != other
    assert first.salt != second.salt


def test_the_file_is_the_owners_alone_and_holds_no_key(tmp_path: Path) -> None:
    home = tmp_path / "home"
    _, key = minted_keys(home)
    assert key
    assert stat.S_IMODE((home / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert [path.name for path in home.iterdir()] == [FILE]
    held = (home / FILE).read_text()
    assert key not in held
    assert key.removeprefix("mg-")[:8] not in held
    assert set(json.loads(held)) == {"salt", "digests"}


CORRUPT = [
    b"",
    b"{",
    b"[]",
    b'{"salt":"AA=="}',
    b'{"salt":1,"digests":[]}',
    b'{"salt":"!","digests":[]}',
    b'{"salt":"\xff"}',
]


@pytest.mark.parametrize("held", CORRUPT)
def test_a_file_that_is_not_ours_is_refused_and_left_alone(tmp_path: Path, held: bytes) -> None:
    (tmp_path / FILE).write_bytes(held)
    with pytest.raises(ValueError, match=r"keys\.json cannot be read: .+; delete it to have a new key made"):
        minted_keys(tmp_path)
    assert (tmp_path / FILE).read_bytes() == held


@pytest.mark.parametrize(
    "held", ['{"salt":"' + "A" * 88 + '","digests":[]}', '{"salt":"","digests":[""]}', '{"salt":"AAAA","digests":[]}']
)
def test_a_file_whose_digests_cannot_be_ours_is_refused(tmp_path: Path, held: str) -> None:
    (tmp_path / FILE).write_text(held)
    with pytest.raises(ValueError, match="cannot be read"):
        minted_keys(tmp_path)


def test_a_home_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        minted_keys(tmp_path / "file")
