"""Only addresses of the public internet may be asked, however they are written."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.network.addresses import is_public

PRIVATE_V4 = [
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1"),
    *("192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
]


@pytest.mark.parametrize("address", PRIVATE_V4)
def test_ipv4_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001::1"])
def test_public_addresses_are_let_through(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "feff::1"),
        *(
            "ff02::1",
            "ff0e::1",
            "100::1",
            "5f00::1",
            "4000::1",
            "2001:db8::1",
            "3fff::1",
            "2001::1",
        ),
        *("2606:4700::1111%eth0", "", "localhost", "127.1", "0x7f000001", "2130706433"),
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    assert not is_public(address)


# Every way to write an IPv4 address as an IPv6 one: prefix, and where the 32 bits stand.
EMBEDDING = {
    "mapped": ("::ffff:0:0", 0),
    "compatible": ("::", 0),
    "translated": ("::ffff:0:0:0", 0),
    "NAT64": ("64:ff9b::", 0),
    "local NAT64": ("64:ff9b:1::", 0),
    "6to4": ("2002::", 80),
    "Teredo": ("2001::", 0),
    "ISATAP": ("fe80::200:5efe:0:0", 0),
}
any_v4 = st.integers(0, 2**32 - 1)
private_v4 = st.one_of(
    *(
        st.integers(0, network.num_addresses - 1).map(int(network[0]).__add__)
        for network in map(
            ipaddress.ip_network, ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16")
        )
    )
)


@given(st.sampled_from(sorted(EMBEDDING)), st.one_of(any_v4, private_v4))
def test_no_ipv6_address_stands_for_an_ipv4_address(kind: str, inner: int) -> None:
    prefix, shift = EMBEDDING[kind]
    address = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | inner << shift)
    assert not is_public(str(address))
    assert not is_public(address.exploded)


@given(st.integers(0, 2**128 - 1))
def test_public_ipv6_is_global_unicast(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    if is_public(str(address)):
        assert address.is_global
        assert address in ipaddress.ip_network("2000::/3")
        assert address.sixtofour is None
        assert address.teredo is None


@given(any_v4)
def test_public_ipv4_is_global(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_multicast
