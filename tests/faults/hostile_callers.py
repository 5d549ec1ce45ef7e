"""Hostile callers, in a process of their own: URL SECONDS CLIP. Each kind keeps to a sane rate, so that
it is the service's bounds that are tried and not the cores. Prints as JSON which statuses came."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from common.types import VECTOR_DIMENSION
from tests.support.background import together

_JUNK = b"[]," * (14_000_000 // 3)
# Each kind of caller has an address of its own on this machine.
_SOURCES = iter(f"127.0.0.{number}" for number in range(2, 200))


class Callers:
    """All of them, until the time is over."""

    def __init__(self, url: str, seconds: float, clip: Path) -> None:
        self._port = urlsplit(url).port or 80
        self._until = time.monotonic() + seconds
        self._clip = clip.read_bytes()
        self._lock = threading.Lock()
        self.statuses: dict[str, Counter[str]] = {}

    def run(self) -> None:
        """One thread per caller; `pause`: seconds from one request of it to the next."""
        kinds: list[tuple[Callable[[socket.socket], None], int, float]] = [
            (self._slow_body, 18, 0.1),
            (self._slow_json, 6, 0.1),
            (self._half_open, 18, 0.1),
            (self._endless_head, 1, 1.0),
            (self._oversized, 1, 2.0),
            (self._many_hits, 2, 0.5),
            (self._malformed, 2, 0.2),
            (self._foreign, 1, 0.2),
            (self._leaving, 1, 5.0),
            (self._parallel, 4, 0.5),
        ]
        together(
            partial(self._again, call, source, pause, number)
            for (call, callers, pause), source in zip(kinds, _SOURCES, strict=False)
            for number in range(callers)
        )

    @property
    def _over(self) -> bool:
        return time.monotonic() >= self._until

    def _again(
        self, call: Callable[[socket.socket], None], source: str, pause: float, number: int
    ) -> None:
        time.sleep(random.Random(number).random() * pause)
        while not self._over:
            status = "closed"
            place = ("127.0.0.1", self._port)
            with (
                contextlib.suppress(OSError),
                socket.create_connection(place, 30, (source, 0)) as caller,
            ):
                caller.settimeout(60)
                with contextlib.suppress(ConnectionError):
                    call(caller)
                status = caller.recv(4096)[9:12].decode("latin-1") or "closed"
            with self._lock:
                kind = call.__name__.strip("_")
                self.statuses.setdefault(kind, Counter())[status] += 1
            time.sleep(pause)

    def _trickle(self, caller: socket.socket, piece: bytes) -> None:
        while not self._over:
            caller.sendall(piece)
            time.sleep(1)

    def _slow_body(self, caller: socket.socket) -> None:
        caller.sendall(_head("/v1/match", "video/mp4", 1_000_000))
        self._trickle(caller, b"x")

    def _slow_json(self, caller: socket.socket) -> None:
        caller.sendall(_head("/v1/videos", "application/json", 10_000))
        self._trickle(caller, b" ")

    def _half_open(self, caller: socket.socket) -> None:
        caller.sendall(b"POST /v1/match HTTP/1.1\r\nHost: localhost\r\n")
        self._trickle(caller, b"X")

    def _endless_head(self, caller: socket.socket) -> None:
        caller.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n")
        for _ in range(1000):
            caller.sendall(b"X: " + b"y" * 1000 + b"\r\n")

    def _oversized(self, caller: socket.socket) -> None:
        caller.sendall(_head("/v1/search", "application/json", len(_JUNK)) + _JUNK)

    def _many_hits(self, caller: socket.socket) -> None:
        size = 1024 * 4 * VECTOR_DIMENSION
        path = "/v1/search?k=1000"
        caller.sendall(_head(path, "application/octet-stream", size) + b"\x00" * size)

    def _malformed(self, caller: socket.socket) -> None:
        caller.sendall(random.randbytes(500) + b"\r\n\r\n")

    def _foreign(self, caller: socket.socket) -> None:
        caller.sendall(
            b"DELETE /v1/videos/a HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n\r\n"
        )

    def _leaving(self, caller: socket.socket) -> None:
        caller.sendall(_head("/v1/match", "video/mp4", len(self._clip)) + self._clip)
        caller.shutdown(socket.SHUT_RDWR)

    def _parallel(self, caller: socket.socket) -> None:
        caller.sendall(b"GET /v1/videos?limit=100 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)


def _head(path: str, kind: str, size: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {size}\r\n\r\n"
    ).encode()


if __name__ == "__main__":
    made = Callers(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]))
    made.run()
    sys.stdout.write(json.dumps({kind: dict(seen) for kind, seen in made.statuses.items()}))
