"""Clients over plain sockets, which cost less than what they measure."""

from __future__ import annotations

import socket
import threading
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

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> bytes:
        """The body of the response. Raises RuntimeError for another status than 200."""
        self._socket.sendall(request)
        got = bytearray()
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += self._more()
        head = bytes(got[:end]).lower()
        if b" 200 " not in head[:20]:
            raise RuntimeError(f"the server responded {head[:40]!r}")
        at = head.index(b"content-length:") + 15
        length = int(head[at:].split(b"\r\n", 1)[0])
        while len(got) < end + 4 + length:
            got += self._more()
        return bytes(got[end + 4 :])

    def _more(self) -> bytes:
        block = self._socket.recv(1 << 16)
        if not block:
            raise RuntimeError("the server closed the connection")
        return block

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def load(
    ports: Sequence[int], requests: Sequence[bytes], clients: int, seconds: float
) -> dict[str, float]:
    """Microseconds per request, and requests per second, of this many clients; each asks again when it
    is answered. ports: of servers that share the clients."""
    spent: list[list[float]] = [[] for _ in range(clients)]
    failures: list[BaseException] = []
    connections = [Connection(ports[number % len(ports)]) for number in range(clients)]

    def work(number: int) -> None:
        connection, end = connections[number], time.perf_counter() + seconds
        at = number * 31
        try:
            while (began := time.perf_counter()) < end:
                connection.ask(requests[at % len(requests)])
                spent[number].append(time.perf_counter() - began)
                at += 1
        except (OSError, RuntimeError) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    for connection in connections:
        connection.close()
    if failures:
        raise RuntimeError(f"a client failed: {failures[0]}")
    everything = [one for some in spent for one in some]
    return {**quantiles(everything), "queries_per_second": round(len(everything) / took)}
