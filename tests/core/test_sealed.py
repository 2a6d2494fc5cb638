"""A sealed value does not show itself, however it is looked at."""

import copy
import dataclasses
import pickle
from typing import Any

import msgspec
import pytest

from moongate.core.sealed import Sealed

SECRET = "sk-example-0123456789-tail"


def test_at_most_the_last_four_characters_are_shown() -> None:
    for shown in (repr(Sealed(SECRET)), str(Sealed(SECRET)), f"{Sealed(SECRET)}", f"{[Sealed(SECRET)]}"):
        assert "tail" in shown
        assert "-tail" not in shown


@pytest.mark.parametrize("short", ["", "abc", "exactly12chr", "a long one \x1b[2"])
def test_a_short_or_unprintable_one_shows_nothing(short: str) -> None:
    assert repr(Sealed(short)) == "…"


def test_serialisers_cannot_open_it() -> None:
    assert not dataclasses.is_dataclass(Sealed)
    with pytest.raises(TypeError):
        msgspec.json.encode(Sealed(SECRET))
    assert not hasattr(Sealed(SECRET), "__dict__")


def test_equality_and_hash_are_those_of_the_value() -> None:
    assert Sealed("a") == Sealed("a") != Sealed("b")
    assert Sealed("a") != "a"
    assert len({Sealed("a"), Sealed("a"), Sealed("é\udc80")}) == 2


def test_it_does_not_change_and_survives_a_copy() -> None:
    sealed: Any = Sealed(SECRET)
    with pytest.raises(AttributeError):
        sealed._value = "x"
    with pytest.raises(AttributeError):
        del sealed._value
    assert pickle.loads(pickle.dumps(sealed)) == copy.deepcopy(sealed) == sealed
