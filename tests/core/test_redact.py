"""What must not be shown is taken out of texts, and what may be stays."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.core.redact import HIDDEN, redact

ORG = "org-0123456789abcdef0123"
AK = "ak-fedcba98765432100123"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJlLW9mLXRoaXM"

SECRETS = {
    "an account and its key": (f"Your account {ORG}<{AK}> request reached max RPM: 3", (ORG, AK)),
    "an account of another shape": ("Your account acme.team<k-12> is suspended", ("acme.team", "k-12")),
    "an account whose key looks like a tag": ("Your account 月/x<abcdef> is suspended", ("月/x", "abcdef")),
    "an account in braces": ("Your account {org}<{ak}> is suspended", ("{org}", "{ak}")),
    "an account in angle brackets": (f"You exceeded your current token quota: <{ORG}> 0, please", (ORG,)),
    "an organization alone": (f"organization {ORG} is closed", (ORG,)),
    "a key alone": (f"key {AK} is closed", (AK,)),
    "a project": ("project proj-0123456789abcdef is closed", ("proj-0123456789abcdef",)),
    "a platform key": ("Incorrect API key provided: sk-Ab3_xyz-0123456789", ("sk-Ab3_xyz-0123456789", "sk-Ab3")),
    "a Kimi Code key": ("bad key sk-kimi-0123456789abcdef.", ("sk-kimi-0123456789abcdef",)),
    "a token": (f"token={JWT}; expired", (JWT, JWT[:30])),
    "a bearer header": ("header Authorization: Bearer abcdef0123456789, was", ("abcdef0123456789",)),
    "a bearer header in lower case": ('{"authorization":"bearer abcdef0123456789"}', ("abcdef0123456789",)),
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_taken_out(name: str) -> None:
    text, secrets = SECRETS[name]
    shown = redact(text)
    assert HIDDEN in shown
    for secret in secrets:
        assert secret not in shown


def test_a_key_that_this_gateway_made_is_taken_out() -> None:
    assert "mg-Zm9vYmFyYmF6" not in redact("there is no model mg-Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4")


HARMLESS = (
    "invalid temperature: only 1 is allowed for this model",
    "tool_choice 'required' is incompatible with thinking enabled",
    "Your request exceeded model token limit: 262144",
    "request reached max organization concurrency: 3, please try again after 1 seconds",
    "Not found the model kimi-k2.7-code or Permission denied",
    "expected List<int> and <b>bold</b><br/>",
    "a task-oriented disk-usage org-chart, 3 < 4 and 5 > 4",
    "月之暗面 🌙",
    "",
)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_a_known_secret_is_taken_out_whatever_its_shape() -> None:
    assert redact("the key hunter2 is wrong", "hunter2", "") == f"the key {HIDDEN} is wrong"


@given(st.text(max_size=20), st.text("abc-_.<>", min_size=1, max_size=8), st.text(max_size=20))
def test_a_known_secret_never_survives_and_nothing_ever_raises(before: str, secret: str, after: str) -> None:
    known = f"s3cr3t{secret}"
    assert known not in redact(before + known + after, known)


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "a",
        "a<",
        "account ",
        "account a<",
        "bearer ",
        "sk-",
        "eyJ-",
        "eyJ",
        "//a:",
        "mg-",
        "org-",
        "{",
    ],
)
def test_a_long_text_is_read_in_one_go(piece: str) -> None:
    """Paths and names are the caller's to choose, and refusals the upstream's."""
    text = piece * (20_000 // len(piece)) + "<"
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 0.1


def test_the_password_in_the_url_of_a_proxy_is_taken_out() -> None:
    assert redact("via http://user:s3cret@proxy.example:3128") == f"via http://{HIDDEN}@proxy.example:3128"
