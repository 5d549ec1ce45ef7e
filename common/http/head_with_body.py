"""Sends the head of a response together with its body."""

from __future__ import annotations

import asyncio

# Comes before the head of a response, if the client waits for it before it sends its body.
_CONTINUE = b"HTTP/1.1 100 "


class HeadWithBody:
    """What the responses of a connection are written to: the head of each is sent together with the first
    part of its body. Alone it would cost a system call, and wake a client that can do nothing yet."""

    __slots__ = ("_head", "_transport", "begins")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        # Whether a head comes next.
        self.begins = False

    def write(self, data: bytes) -> None:
        if self.begins and not data.startswith(_CONTINUE):
            self.begins, self._head = False, data
        elif self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Send a head whose response has no body."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()
