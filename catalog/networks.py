"""Networks that addresses of the internet lie on: the public one, and those that only this machine or its neighbours reach."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_TRANSLATED = ip_network("64:ff9b::/96")
"""IPv4 addresses as a translator between the protocols writes them (RFC 6052)."""


class Network(StrEnum):
    """The kinds of networks."""

    PUBLIC = "public"
    PRIVATE = "private"
    """Addresses of a house or a company, and of a provider's inside (RFC 1918, 4193, 6598)."""
    LOOPBACK = "loopback"
    """This machine itself."""
    LINK_LOCAL = "link_local"
    """Neighbours on one wire; clouds tell their machines secrets there."""
    OTHER = "other"
    """Multicast, unspecified, reserved."""

    @property
    def words(self) -> str:
        """Kind as a text shows it."""
        return self.value.replace("_", "-")


class RefusedAddressError(Exception):
    """A host lies on a network that who named it may not name."""


def network_of(address: str) -> Network:
    """The network of an IP address; one that is written inside another is the one that counts. Raises `ValueError`."""
    number = ip_address(address.partition("%")[0])
    if isinstance(number, IPv6Address):
        number = _inner(number)
    if number.is_loopback:
        return Network.LOOPBACK
    if number.is_link_local:
        return Network.LINK_LOCAL
    if number.is_multicast or number.is_unspecified or number.is_reserved:
        return Network.OTHER
    return Network.PUBLIC if number.is_global else Network.PRIVATE


def _inner(number: IPv6Address) -> IPv4Address | IPv6Address:
    if number in _TRANSLATED:
        return IPv4Address(int(number) & 0xFFFFFFFF)
    return number.ipv4_mapped or number.sixtofour or (number.teredo[1] if number.teredo else number)


def addresses_of(host: str, port: int) -> list[str]:
    """The IP addresses of a host. Raises `OSError` where its name can't be resolved."""
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or too long for the name service
        raise socket.gaierror(socket.EAI_NONAME, f"{host[:80]!r} is no host's name") from error
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def allowed_addresses(host: str, port: int, networks: Iterable[Network]) -> list[str]:
    """Those IP addresses of a host that lie on the networks. Raises `RefusedAddressError` where none does, `OSError` as `addresses_of`."""
    addresses = addresses_of(host, port)
    allowed = [address for address in addresses if network_of(address) in set(networks)]
    if not allowed:
        lies = f"is {addresses[0]}, which is" if host != addresses[0] else "is"
        raise RefusedAddressError(
            f"{host} {lies} {network_of(addresses[0]).words}: what names it may name addresses that are "
            f"{' or '.join(sorted(network.words for network in networks))} only"
        )
    return allowed


@lru_cache(maxsize=256)
def _networks_of_host(host: str) -> frozenset[Network]:
    return frozenset(network_of(address) for address in addresses_of(host, 0))


def networks_of_host(host: str) -> frozenset[Network]:
    """The networks of a host's addresses; none where its name can't be resolved."""
    try:
        return _networks_of_host(host)
    except OSError:
        return frozenset()
