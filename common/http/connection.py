"""Limits for a connection: size and time of the request headers, and number of open connections.

uvicorn has no such limits. `common.http.guard` limits how slowly a body may arrive, and each route limits
its size.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from common.http.errors import error_response
from common.http.head_with_body import HeadWithBody
from common.http.request_facts import OPEN_REQUESTS
from common.settings import HttpSettings

MAX_HEAD_BYTES = 16 * 1024
MAX_HEADERS = 100
# Requests that may wait before the current one is answered. Ordinary clients do not pipeline requests.
_MAX_PIPELINED = 8
# After an early response, the rest of the body is read for this long, so that the client sees the
# response.
_DRAIN_SECONDS = 2.0
# A connection whose client does not read the response is kept for this long.
_UNREAD_SECONDS = 120.0
_IPV6_NETWORK_BITS = 64


@dataclass(frozen=True, slots=True)
class ConnectionBounds:
    """Limits of a server's connections; see HttpSettings. per_address = 0 means no limit."""

    connections: int
    per_address: int
    head_seconds: float
    head_bytes: int = MAX_HEAD_BYTES
    headers: int = MAX_HEADERS
    drain_seconds: float = _DRAIN_SECONDS
    unread_seconds: float = _UNREAD_SECONDS

    @classmethod
    def of(cls, settings: HttpSettings) -> ConnectionBounds:
        return cls(
            settings.max_connections, settings.max_connections_per_address, settings.head_seconds
        )


def bounded_protocol(bounds: ConnectionBounds) -> type[asyncio.Protocol]:
    """A protocol class for the connections of one server. All of its connections share the limits."""

    class Bounded(BoundedProtocol):
        shared = Connections(bounds)

    return Bounded


def network_of(address: str) -> str:
    """The unit in which callers are counted: an IPv4 address, or an IPv6 /64 network, because one host
    usually gets a complete /64."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, _IPV6_NETWORK_BITS), strict=False))


class _RefusedError(Exception):
    """Stops the parser after a request was refused."""


class Connections:
    """The open connections of one server: counts them and checks their time limits periodically. Use it
    from one event loop."""

    def __init__(self, bounds: ConnectionBounds) -> None:
        self.bounds = bounds
        self._open: set[BoundedProtocol] = set()
        self._admitted: dict[BoundedProtocol, str] = {}
        self._by_network: Counter[str] = Counter()
        self._open_requests = 0
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, connection: BoundedProtocol, address: str) -> bool:
        """Register a connection. Returns False if a limit on the number of connections is reached."""
        self._open.add(connection)
        self._look_later(connection.loop)
        network = network_of(address)
        most = self.bounds.per_address
        if len(self._admitted) >= self.bounds.connections:
            return False
        if most and self._by_network[network] >= most:
            return False
        self._admitted[connection] = network
        self._by_network[network] += 1
        return True

    def leave(self, connection: BoundedProtocol) -> None:
        self._open.discard(connection)
        network = self._admitted.pop(connection, None)
        if network is None:
            return
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]

    def open_requests(self) -> int:
        """Requests whose headers were read and whose response is not complete; of each connection only
        the one that is answered now."""
        return self._open_requests

    def begin_request(self) -> None:
        self._open_requests += 1

    def end_request(self) -> None:
        self._open_requests -= 1

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None:
            bounds = self.bounds
            pause = min(1.0, bounds.head_seconds / 4, bounds.drain_seconds / 2)
            self._timer = loop.call_later(pause, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for connection in list(self._open):
            connection.look(now)
        if self._open:
            self._look_later(loop)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. It reads the headers of a request, then its body, then the headers of the next
    one."""

    shared: ClassVar[Connections]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._bounds = self.shared.bounds
        self._refused = False
        self._working: RequestResponseCycle | None = None
        self._at_head = True
        # When the wait for the headers began; None between requests and while a body is read.
        self._head_since: float | None = None
        self._drain_since: float | None = None
        self._idle_since: float | None = None
        self._unread_since: float | None = None
        # Bytes read since the last complete headers or body part; bytes and number of headers that are
        # kept.
        self._head_bytes = self._kept_bytes = self._headers = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._responses = HeadWithBody(transport)
        self._head_since = self.loop.time()
        if not self.shared.enter(self, self.client[0] if self.client else ""):
            self._refuse(503, "busy", "too many open connections; close some, or try again later")

    def connection_lost(self, exc: Exception | None) -> None:
        self.shared.leave(self)
        self.pipeline.clear()
        if self._working is not None and not self._working.response_complete:
            # uvicorn notifies only the newest request, which may still wait behind this one.
            self._working.disconnected = True
            self._working.message_event.set()
            self.shared.end_request()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._working = cycle
        cycle.transport = self._responses  # type: ignore[assignment]
        self._responses.begins = True
        self.shared.begin_request()
        scope: Scope = cycle.scope  # type: ignore[assignment]
        scope[OPEN_REQUESTS] = self.shared.open_requests
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._idle_since = None
        if self._at_head and self._head_since is None:
            self._head_since = self.loop.time()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._refused or self._head_bytes <= self._bounds.head_bytes:
            return
        if self._at_head:
            self._refuse(*self._too_large())
        else:
            # Neither body data nor its end, for example endless trailers.
            self._refuse(400, "usage", "the chunk headers are larger than the body")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._kept_bytes = self._headers = 0
        self._at_head = True

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._keep(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._headers += 1
        self._keep(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._at_head, self._head_since, self._head_bytes = False, None, 0
        if len(self.pipeline) >= _MAX_PIPELINED:
            self._refuse(
                400,
                "usage",
                "too many pipelined requests; wait for a response before the next request",
            )
            raise _RefusedError
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._at_head, self._drain_since, self._head_bytes = True, None, 0
        if self.cycle.response_complete:
            self._head_since = self.loop.time()

    def on_response_complete(self) -> None:
        """As uvicorn does, but `look` ends an idle connection: a timer for each response costs more than
        to parse its request."""
        self._responses.flush()
        self.shared.end_request()
        self.server_state.total_requests += 1
        if not self.pipeline and self.cycle.more_body:
            self._drain_since = self.loop.time()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn for a request that cannot be parsed or that was refused during parsing."""
        self._refuse(400, "usage", "the request is not valid HTTP/1.1")

    def look(self, now: float) -> None:
        """Close the connection if a time limit has passed. now: the event loop's time in seconds."""
        bounds = self._bounds
        if self._head_since is not None and now - self._head_since > bounds.head_seconds:
            if self._in_work:
                self._head_since = now
            else:
                self._refuse(
                    408,
                    "timeout",
                    "the request headers did not arrive in time; send the request again",
                )
        if self._drain_since is not None and now - self._drain_since > bounds.drain_seconds:
            self.transport.close()
        if self._idle_since is not None and now - self._idle_since > self.timeout_keep_alive:
            self.transport.close()
        if not self.transport.get_write_buffer_size():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since > bounds.unread_seconds:
            self.transport.abort()

    @property
    def _in_work(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _keep(self, size: int) -> None:
        self._kept_bytes += size
        if self._kept_bytes > self._bounds.head_bytes or self._headers > self._bounds.headers:
            self._refuse(*self._too_large())
            raise _RefusedError

    def _too_large(self) -> tuple[int, str, str]:
        bounds = self._bounds
        return (
            431,
            "too_large",
            f"the request headers exceed {bounds.head_bytes} bytes or {bounds.headers} lines",
        )

    def _refuse(self, status: int, code: str, message: str) -> None:
        """Send an error and close. If another response has begun, only close."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        if not self._in_work:
            answer = error_response(status, code, message, {"Connection": "close"})
            head = [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
            self.transport.write(
                b"".join([STATUS_LINE[status], *head, b"\r\n", bytes(answer.body)])
            )
        self.transport.close()
