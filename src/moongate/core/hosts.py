"""Hosts: what an address is, and which names mean this machine."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


def address(text: str) -> Address | None:
    """None for what is no IP address. An IPv4 address written as an IPv6 one is that IPv4 address."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def is_this_machine(host: str) -> bool:
    """Whether `host`, an address without brackets or a name, can be reached from nowhere else."""
    found = address(host)
    return host.lower() == "localhost" if found is None else found.is_loopback
