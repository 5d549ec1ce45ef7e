"""What every request must be before a route sees it: sent to this service, by no foreign web page, and
not slower than a bound."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.http.errors import ApiError, to_response
from common.settings import HttpSettings

# Cheap, and they tell nothing of the catalogue: probes and Prometheus may call a service by any name.
HEALTH_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_FOREIGN_SITES = frozenset({b"cross-site", b"same-site"})
# Hosts that were accepted, as they came; as many as a service has names.
_MAX_REMEMBERED = 64


class RequestGuard:
    """Checks Host and Origin, and bounds how slowly a body may come. Every app of ours is wrapped in it.

    A web page may send requests to a service of its reader's machine or network. Its Origin tells it from
    other callers. Where the page's own name was made to point at the service (DNS rebinding), Host does.
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
        """Raises ApiError (400, 403)."""
        host = origin = site = b""
        hosts = 0
        for name, value in scope["headers"]:
            if name == b"host":
                host, hosts = value, hosts + 1
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
        if hosts > 1:
            raise ApiError(400, "usage", "the request has several Host headers", close=True)
        if host and host not in self._accepted:
            self._check_host(host)
        if origin:
            self._check_origin(origin, host)
        elif site in _FOREIGN_SITES and scope["method"] not in _READING:
            raise _foreign_page("a page of another origin")

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
    """Whether only this machine reaches what listens at `host`. Raises OSError for no address."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return all(ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in found)


class _AllowedHosts:
    """Which names a service may be called by."""

    def __init__(self, settings: HttpSettings) -> None:
        named = {_plain(name) for name in settings.allowed_hosts}
        self._any = "*" in named
        self._named: Collection[str] = named - {"*"}
        self._own = {"localhost", _plain(settings.host)}
        # Nobody else's name server decides these.
        self._beyond = _plain(settings.host) not in ("localhost", "127.0.0.1", "::1")
        if self._beyond:
            self._own.add(_plain(socket.gethostname()))

    def allow_host(self, name: str) -> bool:
        """Whether a request may be for this name; an address has no name server that could lie."""
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
        """Whether pages of this host may call the service from elsewhere."""
        return name in self._named


def _hostname(place: bytes) -> str:
    """The name in HOST[:PORT]; empty for what is none."""
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
    """`receive` of a request whose body must keep a least rate. Only waiting for it counts: a slow reader
    costs the sender nothing."""

    __slots__ = ("_bytes", "_complete", "_in_all", "_in_window", "_receive", "_settings")

    def __init__(self, receive: Receive, settings: HttpSettings) -> None:
        self._receive = receive
        self._settings = settings
        self._complete = False
        # Bytes and seconds waited within this window, and seconds waited in all.
        self._bytes = 0
        self._in_window = self._in_all = 0.0

    async def __call__(self) -> Message:
        """Raises ApiError (408)."""
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
            async with asyncio.timeout(patience):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(
                408, "timeout", "the request body arrives too slowly; send it again", close=True
            ) from None
        self._complete = not message.get("more_body", False)
        waited = clock() - began
        self._in_all += waited
        self._in_window += waited
        if self._in_window >= window:
            # The window is over; what came as it ended is of the next.
            self._bytes, self._in_window = 0, 0.0
        self._bytes += len(message.get("body", b""))
        return message
