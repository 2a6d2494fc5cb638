"""Who stands behind a key, and who is turned away."""

from collections.abc import Mapping

import pytest

from moongate.core.errors import GatewayError, Kind
from moongate.core.identity import Caller, CallerKind
from moongate.core.sealed import Sealed
from moongate.policy.keys import KeyPolicy, Keyring, digest

SALT = b"s" * 32
OPEN = KeyPolicy()
CLOSED = KeyPolicy(
    master=Sealed("master-key"),
    keys=(Sealed("key-of-one"), Sealed("key-of-two")),
    minted=(digest("mg-minted", SALT),),
    salt=SALT,
    required=True,
)
OWN = KeyPolicy(keys=(Sealed("key-of-one"),), required=True, tokens_accepted=True)
OWN_OPEN = KeyPolicy(tokens_accepted=True)
BOTH = KeyPolicy(master=Sealed("same"), keys=(Sealed("same"),), required=True)

Headers = Mapping[str, str]


def bearer(value: str) -> Headers:
    return {"authorization": f"Bearer {value}"}


def api_key(value: str) -> Headers:
    return {"x-api-key": value}


def is_credential(text: str) -> bool:
    return text.startswith("sk-")


def identified(policy: KeyPolicy, headers: Headers) -> Caller | GatewayError:
    try:
        return Keyring(policy, is_credential, SALT).identify(headers)
    except GatewayError as error:
        return error


CALLERS: list[tuple[KeyPolicy, Headers, CallerKind, str]] = [
    (OPEN, {}, "anonymous", "anonymous"),
    (OPEN, bearer("anything"), "anonymous", "anonymous"),
    (OPEN, bearer("sk-not-asked-for"), "anonymous", "anonymous"),
    (CLOSED, bearer("master-key"), "master", "master"),
    (CLOSED, api_key("master-key"), "master", "master"),
    (CLOSED, bearer("key-of-one"), "key", "key-1"),
    (CLOSED, bearer("key-of-two"), "key", "key-2"),
    (CLOSED, bearer("mg-minted"), "key", "minted"),
    (CLOSED, {"authorization": "bearer  key-of-one "}, "key", "key-1"),
    (CLOSED, {"authorization": "key-of-one"}, "key", "key-1"),
    (CLOSED, {**bearer("placeholder"), **api_key("key-of-two")}, "key", "key-2"),
    (CLOSED, {**bearer("key-of-one"), **api_key("placeholder")}, "key", "key-1"),
    (CLOSED, {"authorization": "", **api_key(" key-of-two ")}, "key", "key-2"),
    (BOTH, bearer("same"), "master", "master"),
    (OWN, bearer("key-of-one"), "key", "key-1"),
    (OWN, bearer("sk-0123456789abcdef"), "own credential", "own …cdef"),
    (OWN, api_key("sk-0123456789abcdef"), "own credential", "own …cdef"),
    (OWN, {**bearer("sk-0123456789abcdef"), **api_key("key-of-one")}, "key", "key-1"),
    (OWN, {**bearer("placeholder"), **api_key("sk-0123456789abcdef")}, "own credential", "own …cdef"),
    (OWN_OPEN, bearer("sk-0123456789abcdef"), "own credential", "own …cdef"),
    (OWN_OPEN, bearer("sk-0123456789abcdef, other"), "anonymous", "anonymous"),
    (OWN_OPEN, {}, "anonymous", "anonymous"),
]


@pytest.mark.parametrize(("policy", "headers", "kind", "name"), CALLERS)
def test_a_caller_is_known_by_what_they_sent(policy: KeyPolicy, headers: Headers, kind: CallerKind, name: str) -> None:
    found = identified(policy, headers)
    assert isinstance(found, Caller)
    assert (found.kind, found.name) == (kind, name)
    assert bool(found.tokens) is (kind == "own credential")


REFUSED: list[tuple[KeyPolicy, Headers, str]] = [
    (CLOSED, {}, "no API key was sent"),
    (CLOSED, {"authorization": "Bearer"}, "no API key was sent"),
    (CLOSED, {"authorization": " ", "x-api-key": ""}, "no API key was sent"),
    (CLOSED, bearer("wrong"), "not known here"),
    (CLOSED, bearer("key-of-one,key-of-two"), "not known here"),
    (CLOSED, bearer("key-of-on"), "not known here"),
    (CLOSED, bearer("KEY-OF-ONE"), "not known here"),
    (CLOSED, bearer("mg-other"), "not known here"),
    (CLOSED, bearer("sk-0123456789abcdef"), "not known here"),
    (CLOSED, {"authorization": "Basic a2V5LW9mLW9uZQ=="}, "not known here"),
    (CLOSED, bearer("\x00é月\udc80"), "not known here"),
    (OWN, bearer("wrong"), "nor an upstream credential"),
    (OWN, bearer("sk-0123456789abcdef,wrong"), "nor an upstream credential"),
    (OWN, {}, "no API key was sent"),
]


@pytest.mark.parametrize(("policy", "headers", "reason"), REFUSED)
def test_who_is_not_known_is_turned_away_where_a_key_is_required(
    policy: KeyPolicy, headers: Headers, reason: str
) -> None:
    found = identified(policy, headers)
    assert isinstance(found, GatewayError)
    assert (found.kind, found.status) == (Kind.UNAUTHENTICATED, 401)
    assert reason in found.message
    said = (value.removeprefix("Bearer").strip() for value in headers.values())
    assert not any(value in found.message for value in said if value)


def test_several_credentials_of_a_callers_own_are_kept_apart() -> None:
    found = identified(OWN, bearer("sk-0123456789abcdef, Bearer sk-kimi-0123456789,,"))
    assert isinstance(found, Caller)
    assert found.tokens == (Sealed("sk-0123456789abcdef"), Sealed("sk-kimi-0123456789"))


def test_nothing_shows_a_key() -> None:
    found = identified(OWN, bearer("sk-0123456789abcdef"))
    for shown in (repr(found), repr(CLOSED), repr(vars(Keyring(CLOSED, is_credential, SALT)))):
        for key in ("sk-0123456789", "master-key", "key-of-one", "mg-minted"):
            assert key not in shown


def test_a_digest_depends_on_key_and_salt() -> None:
    assert len({digest("a", SALT), digest("b", SALT), digest("a", b"t" * 32)}) == 3
    assert digest("a", SALT) == digest("a", SALT)
