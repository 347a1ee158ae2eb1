"""Networks of addresses, however they are written."""

from __future__ import annotations

import pytest

from catalog.networks import Network, RefusedAddressError, allowed_addresses, network_of, networks_of_host


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("8.8.8.8", Network.PUBLIC),
        ("2a00:1450:4001:80b::200e", Network.PUBLIC),
        ("127.0.0.1", Network.LOOPBACK),
        ("127.9.9.9", Network.LOOPBACK),
        ("::1", Network.LOOPBACK),
        ("::ffff:127.0.0.1", Network.LOOPBACK),
        ("64:ff9b::7f00:1", Network.LOOPBACK),
        ("10.1.2.3", Network.PRIVATE),
        ("172.16.0.1", Network.PRIVATE),
        ("192.168.1.1", Network.PRIVATE),
        ("100.64.0.1", Network.PRIVATE),
        ("fd00::1", Network.PRIVATE),
        ("2002:c0a8:101::1", Network.PRIVATE),
        ("169.254.169.254", Network.LINK_LOCAL),
        ("fe80::1%eth0", Network.LINK_LOCAL),
        ("::ffff:169.254.169.254", Network.LINK_LOCAL),
        ("0.0.0.0", Network.OTHER),
        ("::", Network.OTHER),
        ("224.0.0.1", Network.OTHER),
        ("ff02::1", Network.OTHER),
        ("255.255.255.255", Network.OTHER),
    ],
)
def test_networks(address: str, network: Network) -> None:
    assert network_of(address) is network


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "127.1", "0x7f.0.0.1"])
def test_a_host_is_judged_by_the_address_that_its_name_means(host: str) -> None:
    with pytest.raises(RefusedAddressError, match="loopback: what names it may name addresses that are public only"):
        allowed_addresses(host, 80, (Network.PUBLIC,))
    assert allowed_addresses(host, 80, (Network.LOOPBACK,))


def test_a_host_without_an_address_lies_on_no_network() -> None:
    assert networks_of_host("no-such-host.invalid") == frozenset()
    assert networks_of_host("localhost") == {Network.LOOPBACK}
    with pytest.raises(OSError, match="no host's name"):
        allowed_addresses("a" * 80 + ".org", 80, (Network.PUBLIC,))
