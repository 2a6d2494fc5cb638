"""What a token says of itself, and which texts are tokens at all."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.upstreams.kimi_web.claims import Claims, bare, claims_of, is_web_token

OLDER = {
    "iss": "user-center",
    "typ": "access",
    "app_id": "kimi",
    "sub": "example-user-000001",
    "space_id": "example-space-00001",
    "abstract_user_id": "example-abstract-01",
    "ssid": "1700000000000000001",
    "device_id": "7000000000000000001",
    "region": "cn",
    "membership": {"level": 10},
    "iat": 1_000,
    "exp": 1_900,
    "jti": "example-jti-0000001",
}
NEWER = {**OLDER, "iss": "account", "aud": ["kimi.ai"], "region": "overseas", "code_membership": {"level": 10}}


def part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(data).decode().rstrip("=")


def jwt(claims: object, signature: str = "ZXhhbXBsZQ") -> str:
    return f"{part({'alg': 'HS512', 'typ': 'JWT'})}.{part(claims)}.{signature}"


def test_claims_are_read_in_their_older_form() -> None:
    assert claims_of(jwt(OLDER)) == Claims(
        kind="access",
        app="kimi",
        subject="example-user-000001",
        device="7000000000000000001",
        session="1700000000000000001",
        region="cn",
        issued_at=1_000.0,
        expires_at=1_900.0,
    )


def test_claims_are_read_in_their_newer_form() -> None:
    claims = claims_of(jwt(NEWER))
    assert claims is not None
    assert (claims.audience, claims.region, claims.lifetime) == (("kimi.ai",), "overseas", 900.0)


@pytest.mark.parametrize(("typ", "kind"), [("access", "access"), ("refresh", "refresh"), ("id", None), (None, None)])
def test_the_kind_of_a_token_is_what_it_says(typ: Any, kind: str | None) -> None:
    claims = claims_of(jwt({**NEWER, "typ": typ}))
    assert claims is not None
    assert claims.kind == kind


@pytest.mark.parametrize(
    ("name", "odd"),
    [("sub", ["x"]), ("device_id", None), ("exp", "soon"), ("iat", {}), ("exp", True), ("aud", 5), ("typ", ["access"])],
)
def test_a_claim_of_the_wrong_type_is_not_there(name: str, odd: object) -> None:
    claims, otherwise = claims_of(jwt({**NEWER, name: odd})), claims_of(jwt({**NEWER, name: None}))
    assert claims is not None
    assert claims == otherwise


def test_a_number_may_be_written_either_way() -> None:
    claims = claims_of(jwt({**NEWER, "device_id": 7000000000000000001, "exp": "1900"}))
    assert claims is not None
    assert (claims.device, claims.expires_at) == ("7000000000000000001", 1_900.0)


def test_a_number_may_have_any_number_of_digits() -> None:
    token = jwt(json.dumps({"typ": "access", "exp": 0}).replace("0", "9" * 5000).encode())
    claims = claims_of(token)
    assert claims is None or claims.expires_at is None


def test_an_audience_may_stand_alone() -> None:
    claims = claims_of(jwt({**NEWER, "aud": "kimi.com"}))
    assert claims is not None
    assert claims.audience == ("kimi.com",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-example-0123456789",
        "eyJ",
        "eyJhbGciOiJIUzUxMiJ9",
        "eyJhbGciOiJIUzUxMiJ9.x.y",
        f"eyJhbGciOiJIUzUxMiJ9.{part(b'not json')}.y",
        f"eyJhbGciOiJIUzUxMiJ9.{part([1])}.y",
        f"eyJhbGciOiJIUzUxMiJ9.{part(b'[' * 9000)}.y",
        f"eyJhbGciOiJIUzUxMiJ9.{part(bytes([255, 254]))}.y",
        f"{jwt(OLDER)}.more",
        jwt({**OLDER, "long": "x" * 20_000}),
        f"{jwt(OLDER)}\r\nx-evil: 1",
    ],
)
def test_what_is_no_token_has_no_claims(text: str) -> None:
    assert claims_of(text) is None
    assert not is_web_token(text)


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    claims_of(text)
    claims_of(f"eyJ{text}.{text}.{text}")
    bare(text)
    bare(f"[{text}")


@pytest.mark.parametrize(
    "copied",
    [
        "{token}",
        "  {token}\n",
        "Bearer {token}",
        "bearer   {token}",
        '"{token}"',
        '["{head}","{payload}","{signature}"]',
        ' [ "{head}" , "{payload}" , "{signature}" ] ',
    ],
)
def test_a_token_is_found_in_what_a_person_copied(copied: str) -> None:
    token = jwt(NEWER)
    head, payload, signature = token.split(".")
    text = copied.format(token=token, head=head, payload=payload, signature=signature)
    assert bare(text) == token
    assert claims_of(text) == claims_of(token)


@pytest.mark.parametrize(
    "text", ["[", "[1,2]", '{"a":1}', '["a",null]', '"open', '["a\\nb"]', "[]", "sk-example-0123456789"]
)
def test_what_is_no_copied_token_stays_as_it_is(text: str) -> None:
    assert bare(text) == text


@pytest.mark.parametrize(
    ("claims", "is_one"),
    [
        (OLDER, True),
        ({"app_id": "kimi"}, True),
        ({"typ": "refresh"}, False),
        ({"app_id": "other", "sub": "x"}, False),
        ({"typ": "JWT"}, False),
        ({"iss": "https://auth.example.com"}, False),
    ],
)
def test_the_sites_tokens_are_told_from_others(claims: object, is_one: bool) -> None:
    assert is_web_token(jwt(claims)) is is_one
