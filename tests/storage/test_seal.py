"""Secrets at rest: nothing of them is in the file, and only the same secret opens it."""

import json
from pathlib import Path

import pytest

from moongate.core.sealed import Sealed
from moongate.storage.seal import USUAL, Cost, Seal

CHEAP = Cost(n=16, r=1, p=1)
PATH = Path("credentials/work.json")
TEXT = b'{"access_token":"at-example-token"}'


def seal(secret: str | None = "a long passphrase") -> Seal:
    return Seal(None if secret is None else Sealed(secret), CHEAP)


def test_what_was_closed_can_be_opened_by_the_same_secret_after_a_restart() -> None:
    assert seal().open(seal().close(TEXT), PATH) == TEXT


def test_nothing_of_it_or_of_the_secret_is_in_the_file() -> None:
    closed = seal().close(TEXT)
    assert b"at-example" not in closed
    assert b"passphrase" not in closed
    assert set(json.loads(closed)) == {"by", "cost", "salt", "data"}


def test_without_a_secret_it_stays_as_it_is() -> None:
    assert seal(None).close(TEXT) == TEXT
    assert seal(None).open(TEXT, PATH) == TEXT


def test_what_is_not_closed_is_read_also_when_a_secret_is_set() -> None:
    assert seal().open(TEXT, PATH) == TEXT


@pytest.mark.parametrize("secret", ["another", "a long passphrase ", None])
def test_another_secret_or_none_is_told_in_one_sentence_without_any(secret: str | None) -> None:
    with pytest.raises(ValueError, match="MOONGATE_SECRET") as caught:
        seal(secret).open(seal().close(TEXT), PATH)
    said = str(caught.value)
    assert str(PATH) in said
    assert "passphrase" not in said
    assert "another." not in said
    assert len(said.splitlines()) == 1
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("field", "value"), [("data", "gAAAAA"), ("data", "ü"), ("salt", "AAAAAAAAAAAAAAAAAAAAAA=="), ("cost", {"n": 15})]
)
def test_a_damaged_one_is_told_as_such(field: str, value: object) -> None:
    closed = json.dumps({**json.loads(seal().close(TEXT)), field: value}).encode()
    with pytest.raises(ValueError, match="damaged"):
        seal().open(closed, PATH)


def test_a_file_cannot_ask_for_all_memory_there_is() -> None:
    closed = {**json.loads(seal().close(TEXT)), "cost": {"n": 2**30, "r": 8, "p": 1}}
    data = json.dumps(closed).encode()
    assert seal().open(data, PATH) == data  # it is not taken for one of ours


def test_two_seals_of_one_secret_do_not_share_a_salt_and_open_each_others() -> None:
    one, other = seal(), seal()
    assert json.loads(one.close(TEXT))["salt"] != json.loads(other.close(TEXT))["salt"]
    assert one.open(other.close(TEXT), PATH) == other.open(one.close(TEXT), PATH) == TEXT


def test_the_usual_cost_works_and_is_paid_once() -> None:
    usual = Seal(Sealed("a long passphrase"))
    first = usual.close(TEXT)
    assert json.loads(first)["cost"] == {"n": USUAL.n, "r": USUAL.r, "p": USUAL.p}
    assert json.loads(usual.close(TEXT))["salt"] == json.loads(first)["salt"]
    assert usual.open(first, PATH) == TEXT
