"""Requests to addresses that a caller names: to a public host only, at the address that was checked."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import httpx

from common.errors import FetchError
from common.network.addresses import is_public
from common.network.dns import resolve

_MAX_PORT = 65_535
_ERROR_NUMBER = re.compile(r"^\[Errno -?\d+\] ")


def checked_address(
    url: httpx.URL, allowed_hosts: Collection[str], setting: str, timeout_seconds: float
) -> str:
    """The network address to connect to: the first of the host, if all of them are public.

    allowed_hosts: hosts that may be private, from the setting of this name. Raises FetchError;
    DependencyError at once while too many look-ups run.
    """
    port = url.port or (80 if url.scheme == "http" else 443)
    if port > _MAX_PORT:
        # The look-up would take its lower 16 bits.
        raise FetchError(f"the port {port} is none; expected 1 to {_MAX_PORT}")
    addresses = resolve(url.host, port, timeout_seconds=timeout_seconds)
    if not addresses:
        raise FetchError("the host has no address")
    if url.host not in allowed_hosts and not all(map(is_public, addresses)):
        raise FetchError(f"a private address; to allow it, add its host to {setting}")
    return addresses[0]


def request_at(
    address: str, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes = b""
) -> httpx.Request:
    """A request for `url` that connects to `address`, whatever its host's name means by then."""
    return httpx.Request(
        method,
        url.copy_with(host=address),
        headers={"Host": url.netloc.decode("ascii"), "User-Agent": "storyhash", **headers},
        content=content,
        extensions={"sni_hostname": url.host},
    )


def reason_of(error: Exception) -> str:
    """The library's error message on one line, without an address, which may have a secret."""
    text = _ERROR_NUMBER.sub("", " ".join(str(error).split()))
    if not text and isinstance(error, httpx.NetworkError):
        return "the connection was lost before the answer was complete"
    return type(error).__name__ if not text or "://" in text else text[:200]
