"""Fetching a remote video to a temporary file, from public hosts alone."""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from common.errors import FetchError
from common.settings import IngestSettings

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@contextmanager
def fetched(
    uri: str, settings: IngestSettings, beat: Callable[[], None] = lambda: None
) -> Iterator[Path]:
    """A temporary file with what lies at `uri`, for as long as the block lasts.

    Only allowed schemes and hosts are asked, and never a private, loopback or link-local address
    unless its host is named in STORYHASH_INGEST__ALLOWED_HOSTS; the address that was checked is the
    one connected to, and every redirect is checked again. beat: called for every block. Raises
    FetchError.
    """
    descriptor, name = tempfile.mkstemp(prefix="storyhash-fetch-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            for block in _download(uri, settings):
                file.write(block)
                beat()
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def check_allowed(uri: str, settings: IngestSettings) -> None:
    """Whether an address may be asked at all, by the rules of `fetched`. Raises FetchError."""
    try:
        _checked_address(httpx.URL(uri), settings)
    except httpx.InvalidURL as error:
        raise FetchError(f"{uri}: {error}") from None


def _download(uri: str, settings: IngestSettings) -> Iterator[bytes]:
    url = httpx.URL(uri)
    try:
        for _ in range(_MAX_REDIRECTS + 1):
            address = _checked_address(url, settings)
            pinned = url.copy_with(host=address)
            request = httpx.Request(
                "GET",
                pinned,
                headers={"Host": url.netloc.decode("ascii"), "User-Agent": "storyhash"},
                extensions={"sni_hostname": url.host},
            )
            with httpx.Client(timeout=settings.fetch_timeout_seconds, trust_env=False) as client:
                response = client.send(request, stream=True)
                try:
                    if response.status_code in _REDIRECTS and "location" in response.headers:
                        url = url.join(response.headers["location"])
                        continue
                    yield from _body(response, url, settings)
                finally:
                    response.close()
                return
        raise FetchError(f"{uri}: more than {_MAX_REDIRECTS} redirects")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchError(f"{uri}: {error or type(error).__name__}") from None


def _body(response: httpx.Response, url: httpx.URL, settings: IngestSettings) -> Iterator[bytes]:
    if response.status_code != httpx.codes.OK:
        raise FetchError(f"{url}: the server answered {response.status_code}")
    size = 0
    for block in response.iter_bytes(1 << 20):
        size += len(block)
        if size > settings.max_fetch_bytes:
            raise FetchError(
                f"{url}: larger than {settings.max_fetch_bytes} bytes "
                "(STORYHASH_INGEST__MAX_FETCH_BYTES)"
            )
        yield block


def _checked_address(url: httpx.URL, settings: IngestSettings) -> str:
    """The address to connect to. Raises FetchError where the rules forbid it."""
    if url.scheme not in settings.allowed_schemes:
        raise FetchError(f"{url}: the scheme {url.scheme!r} is not allowed")
    named = url.host in settings.allowed_hosts
    if settings.allowed_hosts and not named:
        raise FetchError(f"{url}: the host is not among STORYHASH_INGEST__ALLOWED_HOSTS")
    try:
        found = socket.getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise FetchError(f"{url}: the host cannot be found ({error.strerror})") from None
    except UnicodeError:
        raise FetchError(f"{url}: {url.host[:80]!r} is no host name") from None
    addresses = [str(entry[4][0]) for entry in found]
    if not named and not all(ipaddress.ip_address(address).is_global for address in addresses):
        raise FetchError(
            f"{url}: a private address; name its host in STORYHASH_INGEST__ALLOWED_HOSTS "
            "if it is meant"
        )
    return addresses[0]
