"""Who asked, through the proxies that are trusted and no other."""

from collections.abc import Sequence
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moongate.http.address import client_address

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
PROXY, CLIENT = "10.0.0.1", "203.0.113.7"

CASES: list[tuple[Sequence[object] | None, str | None, str]] = [
    ((CLIENT, 1), None, CLIENT),
    ((CLIENT, 1), "198.51.100.1", CLIENT),  # whoever is not trusted may write what they like
    ((PROXY, 1), None, PROXY),
    ((PROXY, 1), "", PROXY),
    ((PROXY, 1), CLIENT, CLIENT),
    ((PROXY, 1), f" {CLIENT} ", CLIENT),
    ((PROXY, 1), f"198.51.100.1, {CLIENT}", CLIENT),
    ((PROXY, 1), f"{CLIENT}, 10.0.0.2,10.0.0.3", CLIENT),
    ((PROXY, 1), "10.0.0.3, 10.0.0.2", "10.0.0.3"),
    ((PROXY, 1), "nobody", PROXY),
    ((PROXY, 1), f"{CLIENT}, unknown", PROXY),
    ((PROXY, 1), f"unknown, {CLIENT}", CLIENT),
    ((PROXY, 1), f"unknown, {CLIENT}, 10.0.0.2", CLIENT),
    ((PROXY, 1), ",,,", PROXY),
    (("::ffff:10.0.0.1", 1), CLIENT, CLIENT),
    ((PROXY, 1), f"{CLIENT}, ::ffff:10.0.0.2", CLIENT),
    (("fd00::1", 1, 0, 0), "2001:db8::7", "2001:db8::7"),
    (("fe80::1%eth0", 1, 0, 0), CLIENT, "fe80::1%eth0"),
    (None, CLIENT, ""),
    (("", 0), CLIENT, ""),
    (("/run/socket", None), CLIENT, "/run/socket"),
]


@pytest.mark.parametrize(("peer", "said", "found"), CASES)
def test_the_nearest_address_that_no_trusted_proxy_vouches_for(
    peer: Sequence[object] | None, said: str | None, found: str
) -> None:
    headers = {} if said is None else {"x-forwarded-for": said}
    assert client_address(peer, headers, TRUSTED) == found


def test_without_trusted_proxies_the_peer_is_who_asked() -> None:
    assert client_address((PROXY, 1), {"x-forwarded-for": CLIENT}, ()) == PROXY


@given(st.text(max_size=40))
def test_whatever_stands_in_the_header_an_address_comes_out(said: str) -> None:
    assert "\n" not in client_address((PROXY, 1), {"x-forwarded-for": said}, TRUSTED)


@given(st.lists(st.sampled_from([CLIENT, PROXY, "x", "", "198.51.100.1"]), max_size=5))
def test_nobody_can_pass_for_another_by_writing_to_the_left(left: list[str]) -> None:
    headers = {"x-forwarded-for": ", ".join([*left, CLIENT, "10.0.0.2"])}
    assert client_address((PROXY, 1), headers, TRUSTED) == CLIENT
