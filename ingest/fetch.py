"""Downloads a remote video to a file, only from public hosts."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import httpx

from common.errors import FetchError
from common.network.checked_request import checked_address, reason_of, request_at
from common.settings import IngestSettings
from common.uris import public_uri

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SETTING = "STORYHASH_INGEST__ALLOWED_HOSTS"
# Maximum seconds of a DNS look-up for a caller of the API.
CHECK_SECONDS = 5.0


def fetch(
    uri: str, path: Path, settings: IngestSettings, beat: Callable[[], None] = lambda: None
) -> None:
    """Download `uri` to `path`, an existing file. beat: called for every block.

    Only allowed schemes and hosts are used, and no private, loopback or link-local address unless
    STORYHASH_INGEST__ALLOWED_HOSTS names its host. It connects to the address that was checked, and
    checks every redirect. Content is not decompressed. Raises FetchError, whose message has no query and
    no credentials.
    """
    deadline = time.monotonic() + settings.max_fetch_seconds
    try:
        with path.open("r+b") as file:
            for block in _download(uri, settings):
                file.write(block)
                beat()
                if time.monotonic() > deadline:
                    raise FetchError(
                        f"not downloaded after {settings.max_fetch_seconds:.0f} s "
                        "(STORYHASH_INGEST__MAX_FETCH_SECONDS)"
                    )
    except FetchError as error:
        raise FetchError(f"{public_uri(uri)}: {error}") from None
    except httpx.TimeoutException:
        raise FetchError(
            f"{public_uri(uri)}: the server was silent for {settings.fetch_timeout_seconds:.0f} s "
            "(STORYHASH_INGEST__FETCH_TIMEOUT_SECONDS)"
        ) from None
    except httpx.InvalidURL:
        raise FetchError(f"{public_uri(uri)}: not a valid address") from None
    except (httpx.HTTPError, ssl.SSLError) as error:
        raise FetchError(f"{public_uri(uri)}: {reason_of(error)}") from None
    except OSError as error:
        raise FetchError(
            f"{public_uri(uri)}: cannot be stored ({error.strerror}); free some disk "
            "space, or choose another folder (STORYHASH_INGEST__DOWNLOAD_DIR)"
        ) from None


def check_allowed(
    uri: str, settings: IngestSettings, *, timeout_seconds: float = CHECK_SECONDS
) -> None:
    """Check a URL against the rules of `fetch`, without a download.

    Returns within `timeout_seconds`. Raises FetchError; DependencyError at once if too many look-ups
    run.
    """
    try:
        _allowed_address(httpx.URL(uri), settings, timeout_seconds)
    except httpx.InvalidURL:
        raise FetchError(f"{public_uri(uri)}: not a valid address") from None
    except FetchError as error:
        raise FetchError(f"{public_uri(uri)}: {error}") from None


def _download(uri: str, settings: IngestSettings) -> Iterator[bytes]:
    """The content in blocks; an empty block for each redirect."""
    url = httpx.URL(uri)
    for _ in range(_MAX_REDIRECTS + 1):
        address = _allowed_address(url, settings, settings.fetch_timeout_seconds)
        # A slow look-up does not count as time without data.
        yield b""
        request = request_at(address, "GET", url, {"Accept-Encoding": "identity"})
        with httpx.Client(
            timeout=settings.fetch_timeout_seconds, trust_env=False, verify=_tls()
        ) as client:
            response = client.send(request, stream=True)
            try:
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    url = url.join(response.headers["location"])
                    continue
                yield from _body(response, settings)
            finally:
                response.close()
            return
    raise FetchError(f"more than {_MAX_REDIRECTS} redirects")


@cache
def _tls() -> ssl.SSLContext:
    """The authorities that are trusted: to read them takes longer than many a download."""
    return httpx.create_ssl_context(trust_env=False)


def _body(response: httpx.Response, settings: IngestSettings) -> Iterator[bytes]:
    if response.status_code != httpx.codes.OK:
        raise FetchError(f"the server responded with {response.status_code}")
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise FetchError(
            f"the server sent the content encoding {encoding[:20]!r}, which was not requested"
        )
    most = settings.max_fetch_bytes
    too_large = f"larger than {most} bytes (STORYHASH_INGEST__MAX_FETCH_BYTES)"
    claimed = response.headers.get("content-length", "")
    if claimed.isdecimal() and int(claimed[:20]) > most:
        raise FetchError(too_large)
    size = 0
    for block in response.iter_raw():
        size += len(block)
        if size > most:
            raise FetchError(too_large)
        yield block


def _allowed_address(url: httpx.URL, settings: IngestSettings, timeout_seconds: float) -> str:
    """The address to connect to. Raises FetchError if the rules forbid it."""
    if url.scheme not in settings.allowed_schemes:
        raise FetchError(f"the scheme {url.scheme!r} is not allowed")
    if not url.host:
        raise FetchError("the address has no host")
    if settings.allowed_hosts and url.host not in settings.allowed_hosts:
        raise FetchError(f"the host {url.host!r} is not among {_SETTING}")
    return checked_address(url, settings.allowed_hosts, _SETTING, timeout_seconds)
