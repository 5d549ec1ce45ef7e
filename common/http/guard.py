"""Checks before a route is called: some headers, and the minimum transfer rate of the body."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.http.errors import ApiError, to_response
from common.http.waiting import within
from common.settings import HttpSettings

# Health and metrics may be called under any host name. They are cheap and reveal nothing about the
# catalogue.
HEALTH_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_FOREIGN_SITES = frozenset({b"cross-site", b"same-site"})
# Size of the cache of accepted Host headers.
_MAX_REMEMBERED = 64


class RequestGuard:
    """Checks Host and Origin, and limits how slowly a body may arrive. It wraps every app.

    A web page can make a browser send requests to services on the user's machine or network. The Origin
    header shows such a request. With DNS rebinding (the page's own name points to the service) the Host
    header shows it.
    """

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._settings = settings
        self._hosts = _AllowedHosts(settings)
        self._accepted: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if scope["path"] not in HEALTH_PATHS:
                try:
                    self._check(scope)
                except ApiError as error:
                    await to_response(error)(scope, receive, send)
                    return
            receive = _BoundedBody(receive, self._settings)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Check Host, Origin, Sec-Fetch-Site and Content-Encoding. Raises ApiError (400, 403, 415)."""
        host = origin = site = encoding = b""
        hosts = 0
        for name, value in scope["headers"]:
            if name == b"host":
                host, hosts = value, hosts + 1
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
            elif name == b"content-encoding":
                encoding = value
        if hosts > 1:
            raise ApiError(400, "usage", "the request has several Host headers", close=True)
        if host and host not in self._accepted:
            self._check_host(host)
        if origin:
            self._check_origin(origin, host)
        elif site in _FOREIGN_SITES and scope["method"] not in _READING:
            raise _foreign_page("a page of another origin")
        if encoding.strip().lower() not in (b"", b"identity"):
            # Otherwise the body would be taken for damaged JSON, or for a damaged video.
            shown = encoding[:100].decode("latin-1")
            raise ApiError(
                415,
                "unsupported_media_type",
                f"Content-Encoding: expected none, got {shown!r}; send the body uncompressed",
                close=True,
            )

    def _check_host(self, host: bytes) -> None:
        if not self._hosts.allow_host(_hostname(host)):
            raise ApiError(
                403,
                "forbidden_host",
                f"unexpected host name {host[:100].decode('latin-1')!r}; if it is correct, "
                "add it to STORYHASH_HTTP__ALLOWED_HOSTS",
                close=True,
            )
        if len(self._accepted) < _MAX_REMEMBERED:
            self._accepted.add(host)

    def _check_origin(self, origin: bytes, host: bytes) -> None:
        scheme, _, place = origin.lower().partition(b"://")
        of_the_web = scheme in (b"http", b"https") and place
        if of_the_web and (place == host.lower() or self._hosts.allow_page(_hostname(place))):
            return
        raise _foreign_page(f"a page of {origin[:100].decode('latin-1')!r}")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`. Raises OSError if it does not
    resolve."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return all(ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in found)


class _AllowedHosts:
    """The host names under which a service may be called."""

    def __init__(self, settings: HttpSettings) -> None:
        named = {_plain(name) for name in settings.allowed_hosts}
        self._any = "*" in named
        self._named: Collection[str] = named - {"*"}
        self._own = {"localhost", _plain(settings.host)}
        # Only these names are safe from DNS rebinding: no other name server resolves them.
        self._beyond = _plain(settings.host) not in ("localhost", "127.0.0.1", "::1")
        if self._beyond:
            self._own.add(_plain(socket.gethostname()))

    def allow_host(self, name: str) -> bool:
        """Whether a request may have this Host. IP addresses need no name server, so DNS rebinding cannot
        use them."""
        if self._any or name in self._own or name in self._named:
            return True
        if name.endswith(".localhost"):
            return True
        try:
            ip = ipaddress.ip_address(name)
        except ValueError:
            return False
        return ip.is_loopback or self._beyond

    def allow_page(self, name: str) -> bool:
        """Whether web pages from this host may call the service."""
        return name in self._named


def _hostname(place: bytes) -> str:
    """The host of HOST[:PORT]; empty if it is invalid."""
    try:
        return _plain(urlsplit(f"//{place.decode('ascii')}").hostname or "")
    except ValueError:
        return ""


def _plain(name: str) -> str:
    return name.strip().lower().removeprefix("[").removesuffix("]").removesuffix(".")


def _foreign_page(whose: str) -> ApiError:
    return ApiError(
        403,
        "forbidden_origin",
        f"{whose} may not call this service; to allow it, add its host to "
        "STORYHASH_HTTP__ALLOWED_HOSTS",
        close=True,
    )


class _BoundedBody:
    """The `receive` of a request whose body must keep a minimum rate. Only time spent waiting for the
    sender counts, so a slow reader in the service costs the sender nothing."""

    __slots__ = ("_bytes", "_complete", "_in_all", "_in_window", "_receive", "_settings")

    def __init__(self, receive: Receive, settings: HttpSettings) -> None:
        self._receive = receive
        self._settings = settings
        self._complete = False
        # Bytes and seconds of waiting in the current window, and seconds of waiting in total.
        self._bytes = 0
        self._in_window = self._in_all = 0.0

    async def __call__(self) -> Message:
        """The next message. Raises ApiError (408)."""
        if self._complete:
            return await self._receive()
        window = self._settings.body_window_seconds
        enough = self._bytes >= window * self._settings.min_body_bytes_per_second
        patience = min(
            window - self._in_window + window * enough,
            self._settings.max_body_seconds - self._in_all,
        )
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            message = await within(patience, self._receive())
        except TimeoutError:
            raise ApiError(
                408, "timeout", "the request body arrives too slowly; send it again", close=True
            ) from None
        self._complete = not message.get("more_body", False)
        waited = clock() - began
        self._in_all += waited
        self._in_window += waited
        if self._in_window >= window:
            # The window is over. The data that ended it counts for the next one.
            self._bytes, self._in_window = 0, 0.0
        self._bytes += len(message.get("body", b""))
        return message
