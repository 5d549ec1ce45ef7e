"""Distinguishes public network addresses, to which a service may connect, from all others."""

from __future__ import annotations

import ipaddress

# IPv6: global unicast addresses (RFC 4291) without special uses, Teredo, documentation, and 6to4, which
# contains an IPv4 address. NAT64, IPv4-mapped, IPv4-compatible, site-local and multicast are not public.
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
_SPECIAL_V6 = tuple(
    map(ipaddress.ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
)
# Protocol assignments, some of which Python calls global; and 6to4 relays, which anyone may run.
_SPECIAL_V4 = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24")))


def is_public(address: str) -> bool:
    """Whether an IP address is public: not private, loopback, link-local, shared, multicast or reserved,
    without an embedded IPv4 address and without a scope."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if not parsed.is_global or parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in _SPECIAL_V4)
    if parsed.scope_id is not None or parsed not in _PUBLIC_V6:
        return False
    return not any(parsed in network for network in _SPECIAL_V6)
