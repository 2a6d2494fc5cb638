"""Credentials that callers bring along are told apart by their shape."""

import pytest

from moongate.core.identity import Caller
from moongate.core.sealed import Sealed
from moongate.pool.credentials import FixedKey
from moongate.pool.own import OwnAccounts, by_key
from moongate.upstreams.kimi_code import kimi_code
from moongate.upstreams.moonshot import moonshot

PLATFORM = moonshot("https://p/v1", "test")
CODING = kimi_code("https://c/v1", "test")
OWN = OwnAccounts({"moonshot": by_key(PLATFORM), "kimi-code": by_key(CODING)})


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("sk-kimi-abc", True),
        ("sk-abc", True),
        ("sk-", False),
        ("sk-kimi-", False),
        ("SK-abc", False),
        ("mg-abc", False),
        ("", False),
        (" sk-abc", False),
    ],
)
def test_a_credential_is_known_by_its_shape(text: str, is_one: bool) -> None:
    assert OWN.is_credential(text) is is_one


def test_a_credential_of_an_upstream_that_is_not_used_is_none() -> None:
    platform_only = OwnAccounts({"moonshot": by_key(PLATFORM)})
    assert platform_only.is_credential("sk-abc")
    assert not platform_only.is_credential("sk-kimi-abc")


def test_each_credential_becomes_an_account_of_its_upstream() -> None:
    tokens = (Sealed("sk-kimi-0123456789"), Sealed("sk-0123456789abcdef"))
    accounts = OWN.accounts(Caller("own credential", "own …6789", tokens))
    assert [(account.name, account.upstream, account.credential) for account in accounts] == [
        ("own …6789#1", CODING, FixedKey(tokens[0])),
        ("own …6789#2", PLATFORM, FixedKey(tokens[1])),
    ]
    assert all(account.is_callers and account.max_concurrency is None for account in accounts)
    assert not any("0123" in account.name for account in accounts)


def test_a_caller_without_credentials_has_no_accounts() -> None:
    assert OWN.accounts(Caller("key", "key-1")) == ()
