"""Addresses: who is at the other end, through the proxies the operator trusts; and what is no name of the DNS."""

from collections.abc import Mapping, Sequence

from moongate.core.hosts import Network, address, is_this_machine


def client_address(peer: Sequence[object] | None, headers: Mapping[str, str], trusted: tuple[Network, ...]) -> str:
    """The nearest address in `X-Forwarded-For`, from the right, that is no trusted proxy; the peer where there is none.

    Anybody can write that header, so each entry counts only if whoever passed it on is trusted.
    """
    nearest = str(peer[0]) if peer else ""
    for said in reversed(headers.get("x-forwarded-for", "").split(",")):
        if not _is_trusted(nearest, trusted) or address(said.strip()) is None:
            break
        nearest = said.strip()
    return nearest


def is_plain(host: str) -> bool:
    """Whether a `Host` names an address or this machine. Any other name may be made to point here by who owns it, so
    that a page from there would seem to be one of ours."""
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 or (host.startswith("[") and "]:" in host) else host
    name = name.strip("[]")
    return is_this_machine(name) or address(name) is not None


def _is_trusted(text: str, trusted: tuple[Network, ...]) -> bool:
    found = address(text)
    return found is not None and any(found in network for network in trusted)
