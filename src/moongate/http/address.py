"""Addresses: who is at the other end, through the proxies the operator trusts; and what is no name of the DNS."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


def client_address(peer: Sequence[object] | None, headers: Mapping[str, str], trusted: tuple[Network, ...]) -> str:
    """The nearest address in `X-Forwarded-For`, from the right, that is no trusted proxy; the peer where there is none.

    Anybody can write that header, so each entry counts only if whoever passed it on is trusted.
    """
    nearest = str(peer[0]) if peer else ""
    for said in reversed(headers.get("x-forwarded-for", "").split(",")):
        if not _is_trusted(nearest, trusted) or _address(said.strip()) is None:
            break
        nearest = said.strip()
    return nearest


def is_plain(host: str) -> bool:
    """Whether a `Host` names an address or this machine. Any other name may be made to point here by who owns it, so
    that a page from there would seem to be one of ours."""
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 or (host.startswith("[") and "]:" in host) else host
    return name == "localhost" or _address(name.strip("[]")) is not None


def _is_trusted(text: str, trusted: tuple[Network, ...]) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in trusted)


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
