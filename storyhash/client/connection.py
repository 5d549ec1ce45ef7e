"""The socket of one request, so that a wait for its response can be ended."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any


class Connection:
    """The socket of one request, for shutdown from another thread; a close would not wake a reader."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: Any = None
        self._ended = False

    def note(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpx reports of a request; a connection among it."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
                if self._ended:
                    self._shut_down()

    def end(self) -> None:
        """End the wait of those that wait for it."""
        with self._lock:
            self._ended = True
            self._shut_down()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                # Not that of TLS, which another thread may be reading with.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
