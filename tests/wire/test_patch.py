"""Changing a few keys leaves every other byte, and a key that stands twice is found however it is spelled."""

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from moongate.wire.patch import GONE, fields, patch, repeated_key

ODD = (
    '{"z":12345678901234567890,"response_format":{"b": 1.00, "a":90071992547409931 },"u":"\\u00e9\\ud83c\\udf19",'
    '"model":"x","f":1.0,"g":[1e2, -0.0],"月":"🌙","":null}'
).encode()

members = st.dictionaries(
    st.text(max_size=4) | st.sampled_from(["model", "\b\f\n\r\t\x1f\x7f/\\\"'"]),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=5,
)
spellings = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " : ")])


def spelled(pairs: list[tuple[str, object]], separators: tuple[str, str], *, ascii: bool = False) -> bytes:
    comma, colon = separators
    shown = (f"{json.dumps(k, ensure_ascii=ascii)}{colon}{json.dumps(v, ensure_ascii=ascii)}" for k, v in pairs)
    return ("{" + comma.join(shown) + "}").encode("utf-8")


@pytest.mark.parametrize(
    ("changes", "before", "after"),
    [
        ({"model": "y"}, b'"model":"x"', b'"model":"y"'),
        ({"model": Raw(b'"\\u0079"')}, b'"model":"x"', b'"model":"\\u0079"'),
        ({"model": GONE}, b'"model":"x",', b""),
        ({"absent": GONE}, b"", b""),
        ({"new": {"a": 1}}, b'"":null}', b'"":null,"new":{"a":1}}'),
        ({"model": None, "f": GONE}, b'"model":"x","f":1.0,', b'"model":null,'),
    ],
)
def test_only_what_is_named_changes(changes: dict[str, object], before: bytes, after: bytes) -> None:
    assert patch(ODD, changes) == ODD.replace(before, after)


def test_nothing_to_change_gives_the_same_object_back() -> None:
    assert patch(ODD, {}) is ODD


@given(members, spellings, st.text(max_size=4), st.integers())
def test_any_object_keeps_its_order_and_the_spelling_of_its_values(
    given: dict[str, object], separators: tuple[str, str], key: str, value: int
) -> None:
    body = spelled(list(given.items()), separators)
    patched = patch(body, {key: value})
    assert json.loads(patched) == {**given, key: value}
    assert list(json.loads(patched)) == list({**given, key: value})
    before, after = fields(body), fields(patched)
    assert all(bytes(after[name]) == bytes(before[name]) for name in before if name != key)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"a":1,"a":1}', "a"),
        (b'{"a":1,"b":{"x":1},"a":2}', "a"),
        (b'{ "a" : 1 , "b":2, "a": 1 }', "a"),
        (rb'{"model":"x","mod\u0065l":"y"}', "model"),
        (rb'{"\u006dodel":"x", "model":"y"}', "model"),
        ('{"月":1,"\\u6708":2}'.encode(), "月"),
        (rb'{"\ud83c\udf19":1,"\ud83c\udf19":2}', "🌙"),
        (rb'{"a\/b":1,"a/b":2}', "a/b"),
        (rb'{"\b":1,"\u0008":2}', "\b"),
        (b'{"":1,"":2}', ""),
        (b'{"a":[{"a":1}],"b":{"a":1}}', None),
        (b'{"a":1,"A":2,"b":{"c":1,"c":2}}', None),
        (rb'{"\u0061":1}', None),
        (b"{}", None),
        (b" {\n} ", None),
    ],
)
def test_a_key_that_stands_twice_is_found(body: bytes, key: str | None) -> None:
    assert repeated_key(body) == key


@given(members, spellings, st.booleans(), st.data())
def test_a_repeated_key_is_found_in_any_spelling_and_never_where_there_is_none(
    given: dict[str, object], separators: tuple[str, str], ascii: bool, data: st.DataObject
) -> None:
    pairs = list(given.items())
    assert repeated_key(spelled(pairs, separators, ascii=ascii)) is None
    if pairs:
        again, _ = data.draw(st.sampled_from(pairs))
        pairs.insert(data.draw(st.integers(0, len(pairs))), (again, data.draw(st.integers(0, 9))))
        assert repeated_key(spelled(pairs, separators, ascii=ascii)) == again


def test_an_endless_number_in_a_spaced_body_is_no_failure_of_ours() -> None:
    assert repeated_key(b'{"a": ' + b"1" * 5000 + b', "b": 1}') is None


def test_many_keys_are_looked_at_once_each() -> None:
    body = b"{" + b",".join(b'"k%d":1' % n for n in range(5000)) + b',"k4999":1}'
    began = time.process_time()
    assert repeated_key(body) == "k4999"
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b'{"a":', b'{"a":1}x', b"\xff"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        fields(body)
