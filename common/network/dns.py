"""DNS look-ups with a time-out.

`getaddrinfo` has no time-out: if the name server does not answer, it takes half a minute or more. So it
runs in a bounded number of threads.
"""

from __future__ import annotations

import queue
import socket
import threading

from common.errors import DependencyError, FetchError

# Maximum concurrent look-ups. Each counts until the system ends it, even if its caller has gone.
MAX_LOOKUPS = 8
lookup_places = threading.BoundedSemaphore(MAX_LOOKUPS)


def resolve(host: str, port: int, *, timeout_seconds: float) -> list[str]:
    """The addresses of a host, in the system's order of preference.

    Raises FetchError if the host is not found within `timeout_seconds`; DependencyError at once while too
    many other look-ups run.
    """
    if not lookup_places.acquire(blocking=False):
        raise DependencyError(
            f"{MAX_LOOKUPS} DNS lookups are already in progress; try again later, or check "
            "the DNS server"
        )
    answer: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()
    try:
        threading.Thread(
            target=_look_up, args=(host, port, answer), name="look-up", daemon=True
        ).start()
    except RuntimeError:
        lookup_places.release()
        raise
    try:
        result = answer.get(timeout=timeout_seconds)
    except queue.Empty:
        raise FetchError(
            f"the host cannot be found: no DNS response within {timeout_seconds:.0f} s"
        ) from None
    if isinstance(result, UnicodeError):
        raise FetchError(f"{host[:80]!r} is not a host name")
    if isinstance(result, OSError):
        raise FetchError(f"the host cannot be found ({result.strerror or result})")
    if isinstance(result, Exception):
        raise FetchError(f"the host cannot be found ({type(result).__name__})")
    return result


def _look_up(host: str, port: int, answer: queue.SimpleQueue[list[str] | Exception]) -> None:
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # A scope (fe80::1%eth0) stands in a field of its own on some systems.
        answer.put(
            [
                str(address[4][0])
                + (f"%{address[4][3]}" if len(address[4]) > 3 and address[4][3] else "")
                for address in addresses
            ]
        )
    except Exception as error:
        answer.put(error)
    finally:
        lookup_places.release()
