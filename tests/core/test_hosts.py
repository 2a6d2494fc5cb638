"""What is an address, and which hosts are this machine."""

from ipaddress import ip_address

import pytest

from moongate.core.hosts import address, is_this_machine


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "LocalHost"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "localhost.example", "[::1]", ""])
def test_all_else_may_be_reached_from_elsewhere(host: str) -> None:
    assert not is_this_machine(host)


def test_an_address_is_the_same_however_it_is_written() -> None:
    assert address("::ffff:10.0.0.1") == address("10.0.0.1") == ip_address("10.0.0.1")
    assert address("fe80::1%eth0") == ip_address("fe80::1%eth0")
    assert address("gate.example.com") is None
