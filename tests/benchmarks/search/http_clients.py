"""Clients over plain sockets, which cost less than what they measure."""

from __future__ import annotations

import base64
import gc
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

import orjson

from common.types import Float32Array
from tests.benchmarks.report import quantiles


def raw_request(query: Float32Array) -> bytes:
    """A search of one vector, as bytes."""
    return _request("application/octet-stream", query.astype("<f4").tobytes())


def json_request(query: Float32Array) -> bytes:
    """A search of one vector, as JSON."""
    return _request("application/json", orjson.dumps({"vectors": [query.tolist()]}))


def _request(kind: str, body: bytes) -> bytes:
    head = (
        f"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """A connection that is kept."""

    def __init__(self, port: int, first: int) -> None:
        """first: the number of its first request."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._next = first
        self._got = bytearray()
        self._began = 0.0

    def ask(self, requests: Sequence[bytes]) -> None:
        """Send the next request."""
        self._began = time.perf_counter()
        self.socket.sendall(requests[self._next % len(requests)])
        self._next += 1

    def read(self) -> float | None:
        """Read what has arrived: the seconds since `ask` if the response is complete. Raises RuntimeError
        for another status than 200."""
        block = self.socket.recv(1 << 16)
        if not block:
            raise RuntimeError("the server closed the connection")
        self._got += block
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self._got[:end]).lower()
        if b" 200 " not in head[:20]:
            raise RuntimeError(f"the server responded {head[:40]!r}")
        length = int(head[head.index(b"content-length:") + 15 :].split(b"\r\n", 1)[0])
        if len(self._got) < end + 4 + length:
            return None
        self._got.clear()
        return time.perf_counter() - self._began


def load(
    ports: Sequence[int], requests: Sequence[bytes], clients: int, seconds: float
) -> dict[str, float]:
    """Microseconds per request, and requests per second, of this many clients; each asks again when it
    is answered. ports: of servers that share the clients.

    The clients are one thread of a process of its own: threads of this process would wait for one
    another and for the collection of the benchmark's objects, and that would be measured. Raises
    RuntimeError if a client failed.
    """
    given = {
        "ports": list(ports),
        "requests": [base64.b64encode(request).decode() for request in requests],
        "clients": clients,
        "seconds": seconds,
    }
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=orjson.dumps(given),
        capture_output=True,
        timeout=seconds + 120,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
        raise RuntimeError(f"a client failed: {said[-1]}")
    figures: dict[str, float] = orjson.loads(done.stdout)
    return figures


def asked(
    ports: Sequence[int], requests: Sequence[bytes], clients: int, seconds: float
) -> dict[str, float]:
    """As `load`, in this process."""
    connections = [Connection(ports[number % len(ports)], number * 31) for number in range(clients)]
    spent: list[float] = []
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        gc.collect()
        gc.disable()
        began = time.perf_counter()
        for connection in connections:
            connection.ask(requests)
        open_requests = clients
        while open_requests:
            for key, _ in selector.select():
                took = key.data.read()
                if took is None:
                    continue
                spent.append(took)
                if time.perf_counter() - began < seconds:
                    key.data.ask(requests)
                else:
                    open_requests -= 1
        whole = time.perf_counter() - began
    for connection in connections:
        connection.socket.close()
    return {**quantiles(spent), "queries_per_second": round(len(spent) / whole)}


def main() -> None:
    """Ask as standard input says; print the figures."""
    given = orjson.loads(sys.stdin.buffer.read())
    requests = [base64.b64decode(request) for request in given.pop("requests")]
    sys.stdout.write(orjson.dumps(asked(requests=requests, **given)).decode())


if __name__ == "__main__":
    main()
